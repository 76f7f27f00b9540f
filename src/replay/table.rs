//! report.parquet: a row a report, with the fields of a line of report.jsonl, for data frames.
//!
//! ```text
//! report --as JSON--> shredded into columns (values, and levels where one may be missing or many) --> row groups
//! ```

use fs_err::File;
use parquet::basic::{Compression, LogicalType, Type as Physical};
use parquet::column::writer::{ColumnWriter, ColumnWriterImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnDescriptor, Type};
use serde::Serialize;
use serde_json::Value as Json;

use crate::bag::message::{Message as _, MonitorReport};
use crate::bag::schema::Definition;

/// Rows that are kept until they are written: some 10 MB.
const ROWS: usize = 4096;

/// The table, while it is written.
pub(super) struct Table {
    writer: SerializedFileWriter<File>,
    columns: Vec<Column>,
    rows: usize,
}

impl Table {
    pub(super) fn create(file: File) -> Result<Self, ParquetError> {
        let schema = parse_message_type(&schema())?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(file, schema.into(), properties.into())?;
        let columns = writer.schema_descr().columns().iter().map(|column| Column::of(column)).collect();
        Ok(Self { writer, columns, rows: 0 })
    }

    /// Adds a line of report.jsonl.
    pub(super) fn add(&mut self, line: &impl Serialize) -> Result<(), ParquetError> {
        let line = serde_json::to_value(line).map_err(|error| ParquetError::General(error.to_string()))?;
        let root = self.writer.schema_descr().root_schema_ptr();
        let mut next = &mut self.columns[..];
        for field in root.get_fields() {
            shred(field, line.get(field.name()), Level::default(), &mut next)?;
        }
        self.rows += 1;
        if self.rows < ROWS { Ok(()) } else { self.flush() }
    }

    /// Writes what was kept.
    fn flush(&mut self) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            let Some(mut writer) = group.next_column()? else { break };
            column.write(writer.untyped())?;
            writer.close()?;
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }

    /// Closes the file.
    pub(super) fn finish(mut self) -> Result<(), ParquetError> {
        if self.rows > 0 {
            self.flush()?;
        }
        self.writer.close().map(drop)
    }
}

/// What a row has; a number that has no value is null.
fn schema() -> String {
    let report = group(MonitorReport::DEFINITION);
    format!(
        "message report {{ required int64 time; required binary validity (STRING); \
         required binary level (STRING); optional int64 recording; required boolean doubtful; \
         required group report {{ {report} }} }}"
    )
}

/// The fields of a message, as its definition names them.
fn group(definition: &Definition) -> String {
    let field = |(kind, name): (&str, &str)| match kind.strip_suffix("[]") {
        Some(entry) => {
            let element = column(entry, "element", definition);
            format!("required group {name} (LIST) {{ repeated group list {{ {element} }} }} ")
        }
        None => column(kind, name, definition),
    };
    definition.fields().map(field).collect()
}

fn column(kind: &str, name: &str, definition: &Definition) -> String {
    let kind = match kind {
        "bool" => "required boolean",
        "float32" => "optional float",
        "float64" => "optional double",
        "int32" => "required int32",
        "uint8" => return format!("required int32 {name} (INTEGER(8,false)); "),
        "uint16" => return format!("required int32 {name} (INTEGER(16,false)); "),
        "uint32" => return format!("required int32 {name} (INTEGER(32,false)); "),
        "uint64" => return format!("required int64 {name} (INTEGER(64,false)); "),
        other => {
            let last = |name: &str| name.rsplit('/').next().map(str::to_owned);
            return match definition.nested.iter().find(|nested| last(nested.name) == last(other)) {
                Some(nested) => format!("required group {name} {{ {} }} ", group(nested)),
                None => format!("required binary {name} (STRING); "),
            };
        }
    };
    format!("{kind} {name}; ")
}

/// Where a value stands: `repeated`, the innermost list that it goes on in, 0 at the beginning of a row; `lists`,
/// the lists around it; `defined`, how many of what might be missing on the way to it are there.
#[derive(Clone, Copy, Default)]
struct Level {
    repeated: i16,
    lists: i16,
    defined: i16,
}

/// Puts a value into the columns of its field, the first of `columns`, and takes these away from them.
fn shred(
    field: &Type,
    value: Option<&Json>,
    level: Level,
    columns: &mut &mut [Column],
) -> Result<(), ParquetError> {
    let Type::GroupType { fields, .. } = field else {
        let Some((column, rest)) = std::mem::take(columns).split_first_mut() else { return Ok(()) };
        *columns = rest;
        return column.add(value, level);
    };
    if field.get_basic_info().logical_type_ref() != Some(&LogicalType::List) {
        return fields.iter().try_for_each(|field| {
            let value = value.and_then(|value| value.get(field.name()));
            shred(field, value, level, columns)
        });
    }
    let entries = value.and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    let inner = &fields[0].get_fields()[0];
    let own = std::mem::take(columns).split_at_mut(leaves(inner));
    *columns = own.1;
    if entries.is_empty() {
        return shred(inner, None, level, &mut &mut *own.0);
    }
    let lists = level.lists + 1;
    let mut entered = Level { lists, defined: level.defined + 1, ..level };
    for entry in entries {
        shred(inner, Some(entry), entered, &mut &mut *own.0)?;
        entered.repeated = lists;
    }
    Ok(())
}

/// Columns of a field.
fn leaves(field: &Type) -> usize {
    match field {
        Type::PrimitiveType { .. } => 1,
        Type::GroupType { fields, .. } => fields.iter().map(|field| leaves(field)).sum(),
    }
}

/// The values of a column, and where each stands, or its absence.
struct Column {
    name: String,
    /// The level at which a value is there.
    whole: i16,
    values: Values,
    defined: Vec<i16>,
    repeated: Vec<i16>,
}

enum Values {
    Bools(Vec<bool>),
    Ints(Vec<i32>),
    Longs(Vec<i64>),
    Floats(Vec<f32>),
    Doubles(Vec<f64>),
    Texts(Vec<ByteArray>),
}

impl Column {
    fn of(column: &ColumnDescriptor) -> Self {
        let values = match column.physical_type() {
            Physical::BOOLEAN => Values::Bools(Vec::new()),
            Physical::INT32 => Values::Ints(Vec::new()),
            Physical::INT64 => Values::Longs(Vec::new()),
            Physical::FLOAT => Values::Floats(Vec::new()),
            Physical::DOUBLE => Values::Doubles(Vec::new()),
            _ => Values::Texts(Vec::new()),
        };
        let (name, whole) = (column.path().string(), column.max_def_level());
        Self { name, whole, values, defined: Vec::new(), repeated: Vec::new() }
    }

    fn add(&mut self, value: Option<&Json>, level: Level) -> Result<(), ParquetError> {
        let value = value.filter(|value| !value.is_null());
        // One step short of it, only a column of numbers that may have no value has a step left.
        let defined = if value.is_some() { self.whole } else { level.defined };
        if value.is_none() && level.defined == self.whole {
            return Err(ParquetError::General(format!("{} has no value; one is needed", self.name)));
        }
        if let Some(value) = value
            && !self.values.push(value)
        {
            return Err(ParquetError::General(format!("{} cannot hold {value}", self.name)));
        }
        self.defined.push(defined);
        self.repeated.push(level.repeated);
        Ok(())
    }

    /// Writes the values, and forgets them.
    fn write(&mut self, writer: &mut ColumnWriter) -> Result<(), ParquetError> {
        use ColumnWriter::*;
        let levels = [&self.defined[..], &self.repeated[..]];
        match (&mut self.values, writer) {
            (Values::Bools(values), BoolColumnWriter(writer)) => put(writer, values, levels)?,
            (Values::Ints(values), Int32ColumnWriter(writer)) => put(writer, values, levels)?,
            (Values::Longs(values), Int64ColumnWriter(writer)) => put(writer, values, levels)?,
            (Values::Floats(values), FloatColumnWriter(writer)) => put(writer, values, levels)?,
            (Values::Doubles(values), DoubleColumnWriter(writer)) => put(writer, values, levels)?,
            (Values::Texts(values), ByteArrayColumnWriter(writer)) => put(writer, values, levels)?,
            _ => return Err(ParquetError::General(format!("{} is of another kind", self.name))),
        }
        self.defined.clear();
        self.repeated.clear();
        Ok(())
    }
}

fn put<T: DataType>(
    writer: &mut ColumnWriterImpl<'_, T>,
    values: &mut Vec<T::T>,
    [defined, repeated]: [&[i16]; 2],
) -> Result<(), ParquetError> {
    writer.write_batch(values, Some(defined), Some(repeated))?;
    values.clear();
    Ok(())
}

impl Values {
    /// Adds a value; whether it is one of these.
    fn push(&mut self, value: &Json) -> bool {
        // Unsigned numbers are kept by their bits.
        let integer = || value.as_i64().or_else(|| value.as_u64().map(|value| value as i64));
        let added = match self {
            Self::Bools(values) => value.as_bool().map(|value| values.push(value)),
            Self::Ints(values) => integer().map(|value| values.push(value as i32)),
            Self::Longs(values) => integer().map(|value| values.push(value)),
            Self::Floats(values) => value.as_f64().map(|value| values.push(value as f32)),
            Self::Doubles(values) => value.as_f64().map(|value| values.push(value)),
            Self::Texts(values) => value.as_str().map(|value| values.push(value.into())),
        };
        added.is_some()
    }
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::Row;
    use serde_json::json;

    use super::*;
    use crate::bag::message::{AnomalyRegion, ClassScore};

    /// The rows of a table of these reports, and its row groups.
    fn written(reports: impl Iterator<Item = MonitorReport>) -> (Vec<Row>, usize) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.parquet");
        let mut table = Table::create(File::create(&path).unwrap()).unwrap();
        for report in reports {
            let line = json!({ "time": 7, "validity": "OK", "level": "NOMINAL", "doubtful": false });
            let Json::Object(mut line) = line else { unreachable!() };
            line.insert("report".to_owned(), serde_json::to_value(report).unwrap());
            table.add(&line).unwrap();
        }
        table.finish().unwrap();
        let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
        let rows = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        (rows, reader.num_row_groups())
    }

    #[test]
    fn rows_come_back_in_order_over_several_row_groups_and_none_makes_an_empty_table() {
        let count = ROWS as u64 + 3;
        let report = |frames_received| MonitorReport { frames_received, ..MonitorReport::default() };
        let (rows, groups) = written((0..count).map(report));
        let read = |row: &Row, number| row.to_string().contains(&format!("frames_received: {number},"));
        assert!((0..).zip(&rows).all(|(number, row)| read(row, number)));
        assert_eq!((rows.len() as u64, groups), (count, 2));
        assert_eq!(written(std::iter::empty()), (Vec::new(), 0));
    }

    #[test]
    fn what_has_no_value_is_null_and_the_largest_numbers_stay_what_they_are() {
        let class = |presence| ClassScore { class_id: u16::MAX, presence, ..ClassScore::default() };
        let region = AnomalyRegion { x: u32::MAX, ..AnomalyRegion::default() };
        let full = MonitorReport {
            frames_received: u64::MAX,
            failure_score: f32::NAN,
            classes: vec![class(0.1), class(f32::NAN)],
            regions: vec![region],
            ..MonitorReport::default()
        };
        let (rows, _) = written([full, MonitorReport::default()].into_iter());
        let said: Vec<_> = rows.iter().map(Row::to_string).collect();
        for part in [
            "recording: null",
            "failure_score: null",
            "frames_received: 18446744073709551615",
            "presence: 0.1,",
            "presence: null",
            "x: 4294967295,",
        ] {
            assert!(said[0].contains(part), "{part} in {}", said[0]);
        }
        assert_eq!(said[0].matches("class_id: 65535").count(), 2);
        assert!(said[1].contains("classes: [], ") && said[1].contains("regions: [], "), "{}", said[1]);
    }
}
