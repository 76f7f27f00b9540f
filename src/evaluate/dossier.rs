//! The results of an evaluation: tables as Markdown, CSV and JSON, figures as SVG, and all of it on one
//! self-contained page.

use std::path::Path;

use fs_err as fs;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::frames::FramePanels;
use super::plot::Figure;
use super::table::Table;
use crate::drive::markup::{data_uri, document, drawing, tiles};
use crate::whole_file;

/// Name of the page.
pub const PAGE: &str = "report.html";

/// Why it cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum DossierError {
    /// A file or folder.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A table.
    #[error("table {name}: {reason}")]
    Csv {
        /// Which.
        name: &'static str,
        /// Why.
        reason: csv::Error,
    },
}

/// All results.
#[derive(Clone, Debug, Default)]
pub struct Dossier {
    /// What was measured, in a line.
    pub title: String,
    /// What it was measured with: the bundle, its networks, their precision.
    pub subtitle: String,
    /// The command that measured it.
    pub command: String,
    /// The main figures: name and value.
    pub tiles: Vec<(&'static str, String)>,
    /// Tables. Those of several detectors' classes are told apart by their order.
    pub tables: Vec<Table>,
    /// Figures.
    pub figures: Vec<Figure>,
    /// Frames, in groups with a title each.
    pub galleries: Vec<(String, Vec<FramePanels>)>,
    /// Every figure at full precision, for programs.
    pub detail: Value,
}

impl Dossier {
    /// Writes `NAME.md`, `NAME.csv` and `NAME.json` of each table, `NAME.svg` of each figure, `all.json` and
    /// `report.html` to folder `dir`.
    pub fn write(&self, dir: &Path) -> Result<(), DossierError> {
        fs::create_dir_all(dir)?;
        let write = |name: String, bytes: &[u8]| whole_file::write(&dir.join(name), bytes);
        for (place, table) in self.tables.iter().enumerate() {
            let earlier = self.tables[..place].iter().filter(|other| other.name == table.name).count();
            let stem =
                if earlier == 0 { table.name.to_owned() } else { format!("{}_{}", table.name, earlier + 1) };
            let csv = table.csv().map_err(|reason| DossierError::Csv { name: table.name, reason })?;
            write(format!("{stem}.md"), format!("## {}\n\n{}", table.title, table.markdown()).as_bytes())?;
            write(format!("{stem}.csv"), &csv)?;
            write(format!("{stem}.json"), format!("{:#}\n", table.json()).as_bytes())?;
        }
        for figure in &self.figures {
            write(format!("{}.svg", figure.name), figure.standalone().as_bytes())?;
        }
        write("all.json".to_owned(), format!("{:#}\n", self.json()).as_bytes())?;
        Ok(write(PAGE.to_owned(), self.page().as_bytes())?)
    }

    fn json(&self) -> Value {
        let tables: Vec<Value> = self.tables.iter().map(Table::json).collect();
        json!({
            "title": self.title,
            "subtitle": self.subtitle,
            "command": self.command,
            "tables": tables,
            "detail": self.detail,
        })
    }

    /// The page.
    pub fn page(&self) -> String {
        let body = html! {
            h1 { (self.title) }
            p.soft { (self.subtitle) }
            (tiles(self.tiles.iter().cloned()))
            @for table in self.tables.iter().filter(|table| table.name != "classes") { (section(table)) }
            h2 { "Figures" }
            div.figures { @for figure in &self.figures { (captioned(figure)) } }
            @for table in self.tables.iter().filter(|table| table.name == "classes") { (section(table)) }
            @for (title, frames) in &self.galleries { (gallery(title, frames)) }
            h2 { "How it was made" }
            p { code { (self.command) } }
        };
        document(&self.title, include_str!("dossier.css"), &body)
    }
}

fn gallery(title: &str, frames: &[FramePanels]) -> Markup {
    html! {
        @if !frames.is_empty() {
            h2 { (title) }
            @for frame in frames {
                figure.frame {
                    figcaption { (frame.caption) }
                    div.panels {
                        @for (name, jpeg) in &frame.panels {
                            div {
                                img alt=(name) src=(data_uri(jpeg));
                                span { (name) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A table in which the best of each column of figures stands out.
fn section(table: &Table) -> Markup {
    html! {
        h2 { (table.title) }
        div.wide {
            table.figures-table {
                thead {
                    tr { @for (place, column) in table.columns.iter().enumerate() { th.n[place > 0] { (column.name) } } }
                }
                tbody {
                    @for (row, cells) in table.rows.iter().enumerate() {
                        tr {
                            @for (column, cell) in cells.iter().enumerate() {
                                td.n[cell.is_number()].best[table.is_best(row, column)] { (cell.shown()) }
                            }
                        }
                    }
                }
            }
        }
        @for note in &table.notes { p.note { (note) } }
    }
}

fn captioned(figure: &Figure) -> Markup {
    let label = figure.caption.replace('&', "&amp;").replace('"', "&quot;");
    html! {
        figure.drawing {
            (drawing(&figure.svg, &label))
            figcaption { (figure.caption) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::table::{Cell, Column};

    fn dossier() -> Dossier {
        let table = |name, title: &str| Table {
            name,
            title: title.into(),
            columns: vec![Column::plain("detector"), Column::up("AP")],
            rows: vec![vec!["<b>".into(), Cell::Share(Some(0.5))], vec!["none".into(), Cell::Share(None)]],
            notes: vec!["in percent".into()],
        };
        Dossier {
            title: "Cityscapes & more".into(),
            tables: vec![table("errors", "Errors"), table("classes", "One"), table("classes", "Two")],
            figures: vec![Figure {
                name: "roc",
                caption: "a \"curve\"".into(),
                svg: "<svg width=\"1\"></svg>".into(),
            }],
            galleries: vec![(
                "Worst frames".into(),
                vec![FramePanels { caption: "f".into(), panels: vec![("image", vec![0xff, 0xd8])] }],
            )],
            ..Dossier::default()
        }
    }

    #[test]
    fn the_page_needs_nothing_but_itself_and_shows_text_as_text() {
        let page = dossier().page();
        for reference in ["http:", "https:", "//", "src=\"/", "<script", "<link", "@import", "url("] {
            assert!(!page.contains(reference), "{reference}");
        }
        assert!(page.contains("&lt;b&gt;") && page.contains("Cityscapes &amp; more"));
        assert!(page.contains("src=\"data:image/jpeg;base64,/9g=\""));
        assert!(page.contains("aria-label=\"a &quot;curve&quot;\""));
    }

    #[test]
    fn every_table_and_figure_has_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("new/folder");
        dossier().write(&dir).unwrap();
        for name in [
            "errors.md",
            "errors.csv",
            "errors.json",
            "classes.md",
            "classes_2.csv",
            "roc.svg",
            "all.json",
            "report.html",
        ] {
            assert!(dir.join(name).is_file(), "{name}");
        }
        let all: Value =
            serde_json::from_str(&std::fs::read_to_string(dir.join("all.json")).unwrap()).unwrap();
        assert_eq!(all["tables"][0]["rows"][0]["AP"], 0.5);
        assert!(dossier().write(&dir.join("roc.svg")).is_err());
    }
}
