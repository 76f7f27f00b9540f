//! Frames to label, in the layouts that annotation tools read.
//!
//! Cityscapes' folders hold the images, M's labels to begin with, and masks of what is likely wrong or unknown;
//! `coco.json` and `cvat.xml` hold M's labels as masks in run lengths, one for each class of an image.

use std::path::{Path, PathBuf};

use fs_err as fs;
use image::{GrayImage, RgbImage};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::MineError;
use super::run_lengths::Mask;
use crate::labels::{LabelSet, apply_table};
use crate::whole_file;

/// A frame, and what the monitor says of it.
pub(super) struct Frame<'a> {
    /// Its name, for files.
    pub name: &'a str,
    /// The drive that it is of, for folders.
    pub drive: &'a str,
    /// As the camera saw it.
    pub image: &'a RgbImage,
    /// M's classes, as large as the image.
    pub labels: &'a GrayImage,
    /// 255 where the label is likely wrong.
    pub wrong: &'a GrayImage,
    /// 255 where something unknown is likely.
    pub unknown: &'a GrayImage,
}

/// The part of Cityscapes' layout that the frames are in.
const PART: &str = "mined";
/// Files of all frames together.
const COCO: &str = "coco.json";
const CVAT: &str = "cvat.xml";

/// An export under way, in a folder of its own.
pub(super) struct Export<'a> {
    folder: PathBuf,
    labels: &'a LabelSet,
    images: Vec<Value>,
    annotations: Vec<Value>,
    masks: Vec<Markup>,
}

impl<'a> Export<'a> {
    /// Into `folder`, of images whose classes are of `labels`.
    pub fn new(folder: &Path, labels: &'a LabelSet) -> Result<Self, MineError> {
        fs::create_dir_all(folder)?;
        let (images, annotations, masks) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { folder: folder.into(), labels, images, annotations, masks })
    }

    /// Adds a frame. Returns where its image is, below the folder.
    pub fn add(&mut self, frame: &Frame) -> Result<String, MineError> {
        let &Frame { name, drive, image, labels, wrong, unknown } = frame;
        let place = |root: &str, ending: &str| format!("{root}/{PART}/{drive}/{name}_{ending}.png");
        let path = place("leftImg8bit", "leftImg8bit");
        self.save(&path, |to| image.save(to))?;
        let ids = self.raw_ids(labels);
        self.save(&place("gtFine", "gtFine_labelIds"), |to| ids.save(to))?;
        self.save(&place("masks", "wrong"), |to| wrong.save(to))?;
        self.save(&place("masks", "unknown"), |to| unknown.save(to))?;
        let number = self.images.len() + 1;
        let (width, height) = image.dimensions();
        self.images.push(json!({"id": number, "file_name": path, "width": width, "height": height}));
        let classes = (0u8..).zip(&self.labels.classes);
        let masks: Vec<_> =
            classes.filter_map(|(id, class)| Some((id, &class.name, Mask::of(labels, id)?))).collect();
        for (id, _, mask) in &masks {
            self.annotations.push(json!({
                "id": self.annotations.len() + 1,
                "image_id": number,
                "category_id": id + 1,
                "iscrowd": 1,
                "area": mask.area,
                "bbox": [mask.left, mask.top, mask.width, mask.height],
                "segmentation": {"size": [height, width], "counts": mask.columns},
            }));
        }
        self.masks.push(html! {
            image id=(number - 1) name=(path) width=(width) height=(height) {
                @for (_, class, mask) in &masks {
                    mask label=(class) source="auto" occluded="0" rle=(listed(&mask.rows)) left=(mask.left)
                        top=(mask.top) width=(mask.width) height=(mask.height) z_order="0" {}
                }
            }
        });
        Ok(path)
    }

    /// Writes what is of all frames together.
    pub fn finish(self) -> Result<(), MineError> {
        let categories: Vec<Value> = (1..)
            .zip(&self.labels.classes)
            .map(|(id, class)| json!({"id": id, "name": class.name}))
            .collect();
        let coco = json!({"images": self.images, "categories": categories, "annotations": self.annotations});
        whole_file::write(&self.folder.join(COCO), coco.to_string())?;
        let cvat = html! { annotations { version { "1.1" } @for image in &self.masks { (image) } } };
        let cvat = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n{}\n", cvat.into_string());
        Ok(whole_file::write(&self.folder.join(CVAT), cvat)?)
    }

    /// The ids of the data set that the label set is of: the first of each class.
    fn raw_ids(&self, labels: &GrayImage) -> GrayImage {
        let mut table = [0; 256];
        for (id, class) in (0u8..).zip(&self.labels.classes) {
            table[usize::from(id)] = class.raw.first().copied().unwrap_or(id);
        }
        let mut ids = labels.clone();
        apply_table(&mut ids, &table);
        ids
    }

    fn save(
        &self,
        place: &str,
        save: impl FnOnce(&Path) -> Result<(), image::ImageError>,
    ) -> Result<(), MineError> {
        let path = self.folder.join(place);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        save(&path).map_err(|error| MineError::Picture { path, error })
    }
}

fn listed(runs: &[u32]) -> String {
    runs.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}
