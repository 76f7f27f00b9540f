//! The tables of a protocol, from the results of its tests so far.
//!
//! Table A is the paper's: every detector on one segmenter M, at pixel level and at image level. Tables 1
//! to 5 are those of its supplement: transfer from one M to another, and MAE, STD and both correlations
//! per class. Table G varies the generator G, Table C shows the cost.

use super::lines::{Line, around};
use super::outcome::{self, Cost, ImageLevel, Outcome, PixelLevel};
use super::plan::{Protocol, ProtocolError, System};
use super::stage::{Setup, Test};
use crate::evaluate::dossier::Dossier;
use crate::evaluate::table::{Cell, Column, Table};
use crate::metric::estimate::Fit;

/// One figure of the image level.
type Fitted = fn(&Fit) -> Option<f64>;

const MAE: Fitted = |fit| fit.mae;
const STD: Fitted = |fit| fit.std;
const PEARSON: Fitted = |fit| fit.pearson;
const SPEARMAN: Fitted = |fit| fit.spearman;

/// A table per class figure: number, name of its files, what it shows, the figure, whether lower is better.
const CLASS_TABLES: [(usize, &str, &str, Fitted, bool); 4] = [
    (2, "table_2_mae", "MAE", MAE, true),
    (3, "table_3_std", "STD of the absolute error", STD, true),
    (4, "table_4_pearson", "P.C.", PEARSON, false),
    (5, "table_5_spearman", "S.C.", SPEARMAN, false),
];

const SEEDS: &str = "In percent. a ± b: mean and standard deviation of the seeds.";
const MEANING: &str = "Errors are the positives of AP-Err, AUC and FPR95; pixels pooled, but for FPR95 image: the \
                       mean of the images, at the recall nearest to 0.95. IoU of a class: over the images where it \
                       is labelled, then the mean of the classes.";

impl Protocol {
    /// Writes every table that can be put together to [`Setup::tables`].
    pub(crate) fn write_tables(&self, setup: &Setup) -> Result<(), ProtocolError> {
        let tables = self.tables(setup)?;
        if tables.is_empty() {
            return Ok(());
        }
        let page = Dossier {
            title: "The paper's protocol".into(),
            subtitle: format!("{}: trained on {}, tested on {}", name_of(setup), self.train, self.test),
            command: setup.command.clone(),
            tables,
            ..Dossier::default()
        };
        // All tables are made anew: one that no longer exists must not stay behind.
        let folder = setup.tables();
        if folder.exists() {
            fs_err::remove_dir_all(&folder)?;
        }
        Ok(page.write(&folder)?)
    }

    /// The tables, in the order of the paper.
    pub fn tables(&self, setup: &Setup) -> Result<Vec<Table>, ProtocolError> {
        let of = |system: &System, test: &Test| outcome::read::<Outcome>(&setup.outcome(&system.name, test));
        let mut tables = Vec::new();
        for system in self.first_of_each_m() {
            let [working, labels] = [of(system, &Test::Working)?, of(system, &Test::Labels)?];
            let sizes = match working.is_some() && working == labels {
                true => vec![(working, "the working size, which is the labels' own")],
                false => vec![(working, "the working size"), (labels, "the labels' size")],
            };
            for (outcome, size) in sizes {
                if let Some(outcome) = outcome {
                    let title =
                        format!("Table A. {}: failures, scored at {size}", self.titled(system, &outcome));
                    tables.push(self.table_a("table_a", title, system, &outcome));
                }
            }
        }
        for system in &self.systems {
            for other in self.others(system) {
                if let Some(outcome) = of(system, &Test::Unseen(other.name.clone()))? {
                    let title = format!(
                        "Table 1. Trained on the errors of {}, tested on those of {}",
                        other.segmenter, system.segmenter
                    );
                    tables.push(self.table_a("table_1_unseen", title, other, &outcome));
                }
            }
        }
        for (number, name, what, figure, lower) in CLASS_TABLES {
            for system in self.first_of_each_m() {
                if let Some(outcome) = of(system, &Test::Working)? {
                    let title = format!("Table {number}. {what} of each class, {}", system.segmenter);
                    tables.push(self.class_table((name, title), system, &outcome, (figure, lower)));
                }
            }
        }
        tables.extend(self.table_g(setup)?);
        tables.extend(self.table_c(setup)?);
        for system in &self.systems {
            for folder in &setup.transfers {
                let test = Test::Transfer(folder.clone());
                if let Some(outcome) = of(system, &test)? {
                    let what = if outcome.classes.is_empty() { "anomaly objects" } else { "failures" };
                    let title = format!("{} on {}, as it is: {what}", system.name, outcome.data);
                    tables.push(match outcome.classes.is_empty() {
                        true => self.anomaly_table(title, system, &outcome),
                        false => self.table_a("transfer", title, system, &outcome),
                    });
                }
            }
        }
        Ok(tables)
    }

    fn first_of_each_m(&self) -> impl Iterator<Item = &System> {
        let first = |(i, system): &(usize, &System)| {
            self.systems[..*i].iter().all(|other| other.segmenter != system.segmenter)
        };
        self.systems.iter().enumerate().filter(first).map(|(_, system)| system)
    }

    fn titled(&self, system: &System, outcome: &Outcome) -> String {
        let miou = outcome.mean_iou.map_or("n/a".into(), |miou| format!("{:.1}", 100. * miou));
        let (images, wrong) = (outcome.images, 100. * outcome.positive);
        format!("{}, mIoU {miou} %, {wrong:.1} % of the pixels of {images} images wrong", system.segmenter)
    }

    fn table_a(&self, name: &'static str, title: String, system: &System, outcome: &Outcome) -> Table {
        let rows = self.lines(system, outcome).into_iter().map(|line| {
            let iou = |figure: Fitted| around(line.ious.iter().map(|iou| figure(&iou.mean)));
            let pixel = |figure: fn(&PixelLevel) -> Option<f64>| {
                around(line.pixels.iter().map(|pixel| figure(pixel)))
            };
            let cells = [
                iou(MAE),
                iou(STD),
                iou(PEARSON),
                iou(SPEARMAN),
                pixel(|p| p.pooled.positive.average_precision),
                pixel(|p| p.pooled.negative.average_precision),
                pixel(|p| p.pooled.positive.auroc),
                pixel(|p| p.pooled.positive.fpr95_first),
                pixel(|p| p.per_image.mean.positive.fpr95_nearest),
            ];
            std::iter::once(Cell::Text(line.title)).chain(cells).collect()
        });
        Table {
            name,
            title,
            columns: vec![
                Column::plain("detector"),
                Column::down("MAE"),
                Column::down("STD"),
                Column::up("P.C."),
                Column::up("S.C."),
                Column::up("AP-Err"),
                Column::up("AP-Suc"),
                Column::up("AUC"),
                Column::down("FPR95"),
                Column::down("FPR95 image"),
            ],
            rows: rows.collect(),
            notes: std::iter::once(format!("{SEEDS} {MEANING}")).chain(bound(outcome)).collect(),
        }
    }

    fn class_table(
        &self,
        (name, title): (&'static str, String),
        system: &System,
        outcome: &Outcome,
        (figure, lower): (Fitted, bool),
    ) -> Table {
        let lines: Vec<Line> =
            self.lines(system, outcome).into_iter().filter(|line| !line.ious.is_empty()).collect();
        let column = |line: &Line| match lower {
            true => Column::down(line.title.clone()),
            false => Column::up(line.title.clone()),
        };
        let row = |name: &str, of: &dyn Fn(&ImageLevel) -> Option<f64>| -> Vec<Cell> {
            let cells = lines.iter().map(|line| around(line.ious.iter().map(|iou| of(iou))));
            std::iter::once(Cell::Text(name.to_owned())).chain(cells).collect()
        };
        let classes = outcome.classes.iter().enumerate();
        let of_classes =
            classes.map(|(id, class)| row(class, &move |iou| iou.classes.get(id).and_then(figure)));
        Table {
            name,
            title,
            columns: std::iter::once(Column::plain("class")).chain(lines.iter().map(column)).collect(),
            rows: of_classes.chain([row("mean", &|iou| figure(&iou.mean))]).collect(),
            notes: vec![SEEDS.to_owned()],
        }
    }

    /// The effect of the kind of G, on the first M: the lines that every such system has, and the anomalies.
    fn table_g(&self, setup: &Setup) -> Result<Option<Table>, ProtocolError> {
        let Some(first) = self.systems.first() else { return Ok(None) };
        let mut rows = Vec::new();
        let others = self.systems.iter().filter(|system| system.segmenter == first.segmenter);
        for system in others {
            let Some(outcome) = outcome::read::<Outcome>(&setup.outcome(&system.name, &Test::Working))?
            else {
                continue;
            };
            for line in self.lines(system, &outcome) {
                if !line.title.starts_with("SynthCP") || line.pixels.is_empty() {
                    continue;
                }
                let ap = around(line.pixels.iter().map(|p| p.pooled.positive.average_precision));
                let auc = around(line.pixels.iter().map(|p| p.pooled.positive.auroc));
                let fits = [PEARSON, SPEARMAN, MAE].map(|f| around(line.ious.iter().map(|iou| f(&iou.mean))));
                let names = [Cell::Text(system.generator.clone()), Cell::Text(line.title)];
                rows.push(names.into_iter().chain([ap, auc]).chain(fits).collect());
            }
        }
        Ok((!rows.is_empty()).then(|| Table {
            name: "table_g",
            title: format!("Table G. The kind of G, M being {}", first.segmenter),
            columns: vec![
                Column::plain("G"),
                Column::plain("detector"),
                Column::up("AP-Err"),
                Column::up("AUC"),
                Column::up("P.C."),
                Column::up("S.C."),
                Column::down("MAE"),
            ],
            rows,
            notes: vec![SEEDS.to_owned()],
        }))
    }

    fn table_c(&self, setup: &Setup) -> Result<Vec<Table>, ProtocolError> {
        let mut tables = Vec::new();
        for system in &self.systems {
            let Some(costs) = outcome::read::<Vec<Cost>>(&setup.outcome(&system.name, &Test::Cost))? else {
                continue;
            };
            let mut rows: Vec<Vec<Cell>> = Vec::new();
            let mut seen: Vec<String> = Vec::new();
            for cost in costs {
                let title = self.title_of_trained(system, &cost.name);
                // Every seed costs the same.
                if !seen.contains(&title) {
                    let figures = [cost.time, cost.arithmetic].map(|cost| Cell::Number(Some(cost)));
                    rows.push(std::iter::once(Cell::Text(title.clone())).chain(figures).collect());
                    seen.push(title);
                }
            }
            tables.push(Table {
                name: "table_c",
                title: format!(
                    "Table C. The cost of each detector alone on {}, in multiples of M",
                    system.name
                ),
                columns: vec![
                    Column::plain("detector"),
                    Column::plain("time / T"),
                    Column::plain("arithmetic / M's"),
                ],
                rows,
                notes: vec![
                    "M's own pass is in every row. Arithmetic: multiply-adds of convolutions.".into(),
                ],
            });
        }
        Ok(tables)
    }

    fn anomaly_table(&self, title: String, system: &System, outcome: &Outcome) -> Table {
        let rows = self.lines(system, outcome).into_iter().map(|line| {
            let of = |figure: fn(&PixelLevel) -> Option<f64>| around(line.pixels.iter().map(|p| figure(p)));
            let cells = [
                of(|p| p.pooled.positive.average_precision),
                of(|p| p.pooled.positive.auroc),
                of(|p| p.pooled.positive.fpr95_first),
                of(|p| p.per_image.mean.positive.average_precision),
                of(|p| p.per_image.mean.positive.auroc),
                of(|p| p.per_image.mean.positive.fpr95_nearest),
            ];
            std::iter::once(Cell::Text(line.title)).chain(cells).collect()
        });
        Table {
            name: "anomalies",
            title,
            columns: vec![
                Column::plain("anomaly score"),
                Column::up("AP"),
                Column::up("AUROC"),
                Column::down("FPR95"),
                Column::up("image AP"),
                Column::up("image AUROC"),
                Column::down("image FPR95"),
            ],
            rows: rows.collect(),
            notes: std::iter::once(format!(
                "{SEEDS} {:.1} % of the pixels of {} images are anomalous. Pixels pooled; image: mean of the images, as \
                 in the paper.",
                100. * outcome.positive,
                outcome.images
            ))
            .chain(bound(outcome))
            .collect(),
        }
    }
}

/// The note on figures that were counted in bins.
fn bound(outcome: &Outcome) -> Option<String> {
    let bound = outcome.pixels.iter().map(|pixel| pixel.error_bound).fold(0., f64::max);
    let note = format!("Counted in bins: no pooled figure is off by more than {:.2}.", 100. * bound);
    (bound > 0.).then_some(note)
}

fn name_of(setup: &Setup) -> String {
    super::stage::name(&setup.data)
}
