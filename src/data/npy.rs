//! Arrays as NumPy writes them (`.npy`): scores and labels from any program.

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use half::f16;
use npyz::{DType, NpyFile, Order, TypeChar, WriterBuilder};

use crate::quote::told;
use crate::whole_file;

/// Why an array cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// The file cannot be opened or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file is not an array or ends early.
    #[error("{}: {}", path.display(), told(reason))]
    Array {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// Not numbers.
    #[error("{}: its dtype is {found}; expected floats of 16, 32 or 64 bits, integers or bool", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// Its dtype, as NumPy writes it.
        found: String,
    },
    /// An integer that no double can hold: it would be rounded to a neighbour.
    #[error("{}: element {index} is {value}; integers must be within +-2^53", path.display())]
    Integer {
        /// The file.
        path: PathBuf,
        /// Where, in C order.
        index: usize,
        /// The integer.
        value: i128,
    },
}

/// Numbers, as precise as they were: scores that differ still differ, and equal ones are equal.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// From floats of 16 and 32 bits.
    Single(Vec<f32>),
    /// From floats of 64 bits, integers and bool (0, 1).
    Double(Vec<f64>),
}

/// An array in C order: the last axis runs fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Length of each axis; none of a single number.
    pub shape: Vec<usize>,
    /// Its elements.
    pub numbers: Numbers,
}

/// Integers beyond this are not told apart by a double.
const LARGEST: i128 = 1 << 53;

/// Reads the array in file `path`.
pub fn read(path: &Path) -> Result<Array, NpyError> {
    let error = |reason| NpyError::Array { path: path.to_owned(), reason };
    let mut file = fs_err::File::open(path)?;
    let length = file.metadata()?.len();
    check_header(&mut file, length).map_err(|reason| error(std::io::Error::other(reason)))?;
    let npy = NpyFile::new(BufReader::new(file.into_file())).map_err(error)?;
    let shape = fitting(npy.shape(), length).map_err(|reason| error(std::io::Error::other(reason)))?;
    let fortran = npy.order() == Order::Fortran;
    let dtype = npy.dtype();
    let other = || NpyError::Type { path: path.to_owned(), found: dtype.descr() };
    let DType::Plain(plain) = &dtype else { return Err(other()) };
    // NumPy's own letters: a float of 4 bytes is f4.
    macro_rules! elements {
        ($type:ty) => {
            npy.into_vec::<$type>().map_err(error)?
        };
    }
    macro_rules! exact {
        ($type:ty) => {
            Numbers::Double(elements!($type).into_iter().map(f64::from).collect())
        };
    }
    let numbers = match (plain.type_char(), plain.size_field()) {
        (TypeChar::Float, 2) => Numbers::Single(elements!(f16).into_iter().map(f32::from).collect()),
        (TypeChar::Float, 4) => Numbers::Single(elements!(f32)),
        (TypeChar::Float, 8) => Numbers::Double(elements!(f64)),
        (TypeChar::Bool, 1) => exact!(bool),
        (TypeChar::Int, 1) => exact!(i8),
        (TypeChar::Int, 2) => exact!(i16),
        (TypeChar::Int, 4) => exact!(i32),
        (TypeChar::Int, 8) => doubles(elements!(i64), path)?,
        (TypeChar::Uint, 1) => exact!(u8),
        (TypeChar::Uint, 2) => exact!(u16),
        (TypeChar::Uint, 4) => exact!(u32),
        (TypeChar::Uint, 8) => doubles(elements!(u64), path)?,
        _ => return Err(other()),
    };
    let numbers = match numbers {
        Numbers::Single(values) if fortran => Numbers::Single(to_c_order(&values, &shape)),
        Numbers::Double(values) if fortran => Numbers::Double(to_c_order(&values, &shape)),
        in_c_order => in_c_order,
    };
    Ok(Array { shape, numbers })
}

/// Longest header that is read, in bytes; NumPy's own has some hundred.
const MOST_HEADER: u64 = 1 << 16;

/// How deep its brackets may stand in each other: a dictionary of lists of fields with shapes. The parser
/// takes twice as long for each one more.
const DEEPEST: i32 = 4;

/// Looks at the first bytes, before anything of the announced length is made: an array's magic, and a header
/// within the file, short and flat.
fn check_header(file: &mut fs_err::File, length: u64) -> Result<(), String> {
    let mut begin = [0; 12];
    let mut read = 0;
    while let n @ 1.. = file.read(&mut begin[read..]).map_err(|e| e.to_string())? {
        read += n;
    }
    if begin.starts_with(b"PK") {
        return Err("an archive of arrays (.npz); give one of them, as numpy.save writes it".into());
    }
    let [0x93, b'N', b'U', b'M', b'P', b'Y', version, _, header @ ..] = begin else {
        return Err("not an array as numpy.save writes it".into());
    };
    let (begin, header) = match version {
        1 => (10, u64::from(u16::from_le_bytes([header[0], header[1]]))),
        _ => (12, u64::from(u32::from_le_bytes(header))),
    };
    match header {
        n if n > length => return Err(format!("announces a header of {n} bytes and has {length} in all")),
        n if n > MOST_HEADER => {
            return Err(format!("has a header of {n} bytes, at most {MOST_HEADER} are read"));
        }
        _ => {}
    }
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(begin)).map_err(|e| e.to_string())?;
    file.take(header).read_to_end(&mut text).map_err(|e| e.to_string())?;
    file.rewind().map_err(|e| e.to_string())?;
    let depths = text.iter().scan(0i32, |depth, byte| {
        *depth += i32::from(b"([{".contains(byte)) - i32::from(b")]}".contains(byte));
        Some(*depth)
    });
    match depths.max() {
        Some(depth) if depth > DEEPEST => {
            Err("its header has brackets within brackets, and is no array's".into())
        }
        _ => Ok(()),
    }
}

/// An announced shape, if the file of this length can hold its elements: no element has less than a byte.
fn fitting(shape: &[u64], length: u64) -> Result<Vec<usize>, String> {
    let count = shape.iter().try_fold(1u64, |n, &side| n.checked_mul(side));
    match count {
        Some(count) if count <= length && !shape.contains(&0) => {
            Ok(shape.iter().map(|&side| side as usize).collect())
        }
        Some(0) => Err(format!("its shape is {shape:?}: it holds nothing")),
        _ => Err(format!("its shape is {shape:?}, more elements than the file has bytes ({length})")),
    }
}

/// Integers of 64 bits as doubles, if none loses a digit.
fn doubles<T: Into<i128>>(integers: Vec<T>, path: &Path) -> Result<Numbers, NpyError> {
    let exact = integers.into_iter().map(Into::into).enumerate().map(|(index, value)| match value {
        _ if value.abs() <= LARGEST => Ok(value as f64),
        _ => Err(NpyError::Integer { path: path.to_owned(), index, value }),
    });
    Ok(Numbers::Double(exact.collect::<Result<_, _>>()?))
}

/// Elements whose first axis runs fastest, rearranged.
fn to_c_order<T: Copy>(values: &[T], shape: &[usize]) -> Vec<T> {
    let place = |mut index: usize| {
        // Digits of the position in C order, the last axis first, are the coordinates.
        let mut stride = values.len();
        shape.iter().rev().fold(0, |sum, &length| {
            let coordinate = index % length;
            index /= length;
            stride /= length;
            sum + coordinate * stride
        })
    };
    (0..values.len()).map(|index| values[place(index)]).collect()
}

/// Writes a map of `[height, width]` numbers, row by row, as `float32`.
pub fn write(path: &Path, [height, width]: [u32; 2], numbers: &[f32]) -> Result<(), NpyError> {
    let mut file = Vec::new();
    let shape = [u64::from(height), u64::from(width)];
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut file).begin_nd()?;
    writer.extend(numbers)?;
    writer.finish()?;
    Ok(whole_file::write(path, file)?)
}

#[cfg(test)]
mod tests {
    use npyz::WriterBuilder;

    use super::*;

    fn written<T: npyz::AutoSerialize>(values: &[T], shape: &[u64], order: Order) -> Result<Array, NpyError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let options = npyz::WriteOptions::<T>::new().default_dtype().order(order);
        let mut writer = options.shape(shape).writer(file.as_file()).begin_nd().unwrap();
        values.iter().for_each(|value| writer.push(value).unwrap());
        writer.finish().unwrap();
        read(file.path())
    }

    #[test]
    fn every_kind_of_number_is_read() {
        let of = |array: Result<Array, NpyError>| array.unwrap().numbers;
        assert_eq!(of(written(&[0.1f32, 2.], &[2], Order::C)), Numbers::Single(vec![0.1, 2.]));
        assert_eq!(of(written(&[f16::from_f32(0.5)], &[1], Order::C)), Numbers::Single(vec![0.5]));
        assert_eq!(of(written(&[0.1f64], &[1, 1], Order::C)), Numbers::Double(vec![0.1]));
        assert_eq!(of(written(&[true, false], &[2], Order::C)), Numbers::Double(vec![1., 0.]));
        assert_eq!(of(written(&[-3i8, 7], &[2], Order::C)), Numbers::Double(vec![-3., 7.]));
        assert_eq!(of(written(&[255u8], &[1], Order::C)), Numbers::Double(vec![255.]));
        assert_eq!(of(written(&[1u64 << 53], &[1], Order::C)), Numbers::Double(vec![(1u64 << 53) as f64]));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        write(file.path(), [2, 3], &[0.1, 0.2, 0.3, 0.4, 0.5, f32::NAN]).unwrap();
        let array = read(file.path()).unwrap();
        assert_eq!(array.shape, [2, 3]);
        let Numbers::Single(numbers) = array.numbers else { panic!("not as precise as it was") };
        assert_eq!(numbers[..5], [0.1, 0.2, 0.3, 0.4, 0.5]);
        assert!(numbers[5].is_nan());
    }

    #[test]
    fn integers_that_would_become_equal_are_refused() {
        let message = written(&[0, (1i64 << 53) + 1], &[2], Order::C).unwrap_err().to_string();
        assert!(message.contains("element 1 is 9007199254740993"), "{message}");
    }

    #[test]
    fn the_order_of_the_axes_is_that_of_c() {
        // [[1, 2, 3], [4, 5, 6]], column by column.
        let array = written(&[1f64, 4., 2., 5., 3., 6.], &[2, 3], Order::Fortran).unwrap();
        assert_eq!(array.shape, [2, 3]);
        assert_eq!(array.numbers, Numbers::Double(vec![1., 2., 3., 4., 5., 6.]));
    }

    #[test]
    fn announced_shapes_that_the_file_cannot_hold_are_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // In 64 bits the first product is 0.
        for (shape, expected) in [
            ("(4294967296, 4294967296)", "more elements than"),
            ("(9223372036854775808, 2, 3)", "more elements than"),
            ("(1000,)", "more elements than"),
            ("(1152921504606846976, 4, 0)", "holds nothing"),
            ("(1152921504606846976, 0)", "holds nothing"),
        ] {
            let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((header.len() as u16).to_le_bytes());
            bytes.extend(header.bytes());
            std::fs::write(file.path(), &bytes).unwrap();
            let message = read(file.path()).unwrap_err().to_string();
            assert!(message.contains(expected), "{shape}: {message}");
        }
        let long = b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}";
        std::fs::write(file.path(), long).unwrap();
        let message = read(file.path()).unwrap_err().to_string();
        assert!(message.contains("header of 4294967295 bytes"), "{message}");
    }

    #[test]
    fn a_header_of_brackets_within_brackets_is_refused_at_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for open in ["{", "(", "["] {
            let header =
                format!("{}'descr': '<f4', 'fortran_order': False, 'shape': (1,), }}\n", open.repeat(90));
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((header.len() as u16).to_le_bytes());
            bytes.extend(header.bytes());
            std::fs::write(file.path(), &bytes).unwrap();
            let message = read(file.path()).unwrap_err().to_string();
            assert!(message.contains("brackets within brackets"), "{message}");
        }
    }

    #[test]
    fn an_archive_of_arrays_is_told_what_it_is() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"PK\x03\x04 and so on").unwrap();
        let message = read(file.path()).unwrap_err().to_string();
        assert!(message.contains(".npz") && message.contains("numpy.save"), "{message}");
    }

    #[test]
    fn what_is_no_array_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "score\n0.1\n").unwrap();
        let message = read(file.path()).unwrap_err().to_string();
        assert!(message.starts_with(&file.path().display().to_string()), "{message}");
        assert!(read(Path::new("nowhere.npy")).is_err());
    }
}
