//! A page of the frames that were chosen, to look at.

use image::RgbImage;
use maud::{Markup, html};

use super::{MineError, Mined, Selection};
use crate::drive::markup::{data_uri, document, number, percent, tiles};
use crate::picture::jpeg::reduced;

/// Its file.
pub const PAGE: &str = "report.html";

/// Columns of a picture.
const WIDTH: u32 = 512;
const STYLE: &str = "figure{margin:1.5rem 0;display:grid;grid-template-columns:1fr 1fr;gap:.5rem}\
    figure img{width:100%;height:auto}figcaption{grid-column:1/3}";

/// The page, while frames are added.
#[derive(Default)]
pub(super) struct Page {
    figures: Vec<(usize, Markup)>,
}

impl Page {
    /// Adds the frame that is the `place`th best.
    pub fn add(
        &mut self,
        place: usize,
        mined: &Mined,
        image: &RgbImage,
        overlay: &RgbImage,
    ) -> Result<(), MineError> {
        let encoded = |picture: &RgbImage| {
            reduced(picture, WIDTH)
                .map(|jpeg| data_uri(&jpeg))
                .map_err(|error| MineError::Picture { path: mined.name.clone().into(), error })
        };
        let (image, overlay) = (encoded(image)?, encoded(overlay)?);
        let name = &mined.name;
        self.figures.push((place, html! {
            figure {
                img src=(image) alt={ (name) ", the image" };
                " "
                img src=(overlay) alt={ (name) ", its labels; likely wrong in red, unknown in magenta" };
                figcaption {
                    (place + 1) ". " strong { (name) } " of " (mined.drive) ": lesson " (number(mined.lesson, 2))
                    ", failure score " (number(mined.failure, 2)) ", unknown " (percent(mined.unknown))
                    ", disagreement " (number(mined.disagreement, 3))
                }
            }
        }));
        Ok(())
    }

    /// The page of all.
    pub fn html(mut self, selection: &Selection) -> String {
        self.figures.sort_by_key(|(place, _)| *place);
        let body = html! {
            h1 { "Frames to label next" }
            (tiles([
                ("chosen", selection.frames.len().to_string()),
                ("looked at", selection.looked_at.to_string()),
            ]))
            p { "The best first. On the right M's labels: likely wrong in red, unknown in magenta." }
            @for (_, figure) in &self.figures { (figure) }
        };
        document("Frames to label next", STYLE, &body)
    }
}
