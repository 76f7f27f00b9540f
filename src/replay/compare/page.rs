//! A comparison as one HTML file: the figures, and the frames whose level changed, A beside B.

use std::collections::BTreeMap;
use std::path::Path;

use maud::{Markup, html};

use super::{Changed, CompareError, Comparison, Interval, Row};
use crate::bag::cdr::decode;
use crate::bag::message::CompressedImage;
use crate::bag::reader::{Reader, Wish};
use crate::drive::markup::{data_uri, document};
use crate::replay::results::{BAG, PICTURES};
use crate::whole_file;

/// Stretches of changed frames that are shown.
const SHOWN: usize = 24;
/// A larger picture is none of a replay's.
const MOST_OF_A_PICTURE: usize = 2 << 20;
const JPEG: [u8; 2] = [0xff, 0xd8];

/// Changed frames in a row, with the same levels.
type Stretch<'a> = &'a [Changed];

/// What the pictures of a frame show.
#[derive(Default)]
struct Pictures {
    image: Option<Vec<u8>>,
    overlay: Option<Vec<u8>>,
}

/// The pictures of a result, by the time of their frame, and how many parts of it could not be read.
#[derive(Default)]
struct Album {
    frames: BTreeMap<i64, Pictures>,
    lost: u64,
}

/// Writes the comparison of the results in folders `a` and `b` as a page.
pub fn write(path: &Path, comparison: &Comparison, [a, b]: [&Path; 2]) -> Result<(), CompareError> {
    let all = stretches(&comparison.changed);
    let shown = &all[..all.len().min(SHOWN)];
    let albums = [Album::read(a, shown)?, Album::read(b, shown)?];
    let body = html! {
        h1 { "Two results beside each other" }
        p.soft { "A: " code { (a.display()) } ". B: " code { (b.display()) } "." }
        @let [both, only_a, only_b] = comparison.frames;
        p { (both) " frames in both, " (only_a) " only in A, " (only_b) " only in B." }
        (figures(comparison))
        h2 { "Frames whose level changed" }
        p { (comparison.changed.len()) " of " (both) "." }
        @for (name, album) in ["A", "B"].iter().zip(&albums).filter(|(_, album)| album.lost > 0) {
            p.FAILURE { (album.lost) " parts of " (name) "'s pictures could not be read." }
        }
        div.changes { @for stretch in shown { (change(stretch, &albums)) } }
        @if !shown.is_empty() { (explanation(&all[shown.len()..])) }
    };
    Ok(whole_file::write(path, document("Comparison", include_str!("page.css"), &body))?)
}

fn stretches(changed: &[Changed]) -> Vec<Stretch<'_>> {
    let levels = |change: &Changed| change.levels.each_ref().map(|(level, _)| level.clone());
    let goes_on = |one: &Changed, next: &Changed| {
        (one.number + 1, one.recording) == (next.number, next.recording) && levels(one) == levels(next)
    };
    changed.chunk_by(goes_on).collect()
}

impl Album {
    /// Those of the first frames of the stretches.
    fn read(folder: &Path, shown: &[Stretch]) -> Result<Self, CompareError> {
        let mut album = Self::default();
        album.frames.extend(shown.iter().map(|stretch| (stretch[0].time, Pictures::default())));
        let bag = folder.join(BAG);
        if !bag.exists() {
            return Ok(album);
        }
        let wish = Wish { topics: PICTURES.map(str::to_owned).to_vec(), ..Wish::default() };
        let mut reader = Reader::open(&[bag], &wish)?;
        for message in reader.by_ref() {
            let Some(pictures) = album.frames.get_mut(&message.stamp) else { continue };
            match decode::<CompressedImage>(&message.data) {
                Ok(picture) if picture.data.starts_with(&JPEG) && picture.data.len() <= MOST_OF_A_PICTURE => {
                    let is_overlay = *message.topic == *PICTURES[1];
                    let place = if is_overlay { &mut pictures.overlay } else { &mut pictures.image };
                    place.get_or_insert(picture.data);
                }
                _ => album.lost += 1,
            }
        }
        album.lost += reader.losses().count();
        Ok(album)
    }
}

fn figures(comparison: &Comparison) -> Markup {
    let value = |value: Option<f64>| value.map_or("n/a".to_owned(), |value| format!("{value:.2}"));
    html! {
        h2 { "Figures, in %" }
        div.wide {
            table {
                thead { tr { th { "figure" } th.n { "A" } th.n { "B" } th.n { "B - A" } th { "interval" } th {} } }
                tbody {
                    @for Row { name, values: [a, b], difference, is_loss } in &comparison.rows {
                        tr {
                            td { (name) } td.n { (value(*a)) } td.n { (value(*b)) }
                            @match difference {
                                Some((by, Interval { least, most })) => {
                                    td.n { (format!("{by:+.2}")) } td { (format!("{least:+.2} to {most:+.2}")) }
                                }
                                None => { td.n { "n/a" } td { "n/a" } }
                            }
                            td { @if *is_loss { strong.FAILURE { "loss" } } }
                        }
                    }
                }
            }
        }
        p.soft { "Intervals: 95 %, over " (comparison.units) ". Of " (comparison.labelled) " frames there are labels." }
    }
}

fn change(stretch: Stretch, albums: &[Album; 2]) -> Markup {
    let first = &stretch[0];
    let held = albums.each_ref().map(|album| album.frames.get(&first.time));
    // It is the same frame: what one result holds of the camera serves both.
    let camera = held.iter().flatten().find_map(|pictures| pictures.image.as_ref());
    html! {
        section {
            h3 {
                "Frame " (first.number) ", " (format!("{:.2}", first.seconds)) " s of recording " (first.recording)
                @if stretch.len() > 1 { ", and " (stretch.len() - 1) " after it" }
            }
            div.pair {
                @for (name, (pictures, (level, score))) in ["A", "B"].iter().zip(held.iter().zip(&first.levels)) {
                    figure {
                        @match (pictures.and_then(|pictures| pictures.overlay.as_ref()), camera) {
                            (Some(overlay), _) => img alt=(format!("Overlay of the frame in {name}")) src=(data_uri(overlay));,
                            (None, Some(image)) => img alt="The frame as the camera saw it" src=(data_uri(image));,
                            (None, None) => p.none { "Neither result holds a picture of this frame." },
                        }
                        figcaption {
                            b { (name) } ": " strong class=(level) { (level) } ", failure "
                            (score.map_or("none".to_owned(), |score| format!("{score:.3}")))
                            @if pictures.is_none_or(|pictures| pictures.overlay.is_none()) && camera.is_some() {
                                ". " (name) " holds no overlay of it: this is the camera's picture."
                            }
                        }
                    }
                }
            }
        }
    }
}

fn explanation(rest: &[Stretch]) -> Markup {
    let frames: usize = rest.iter().map(|stretch| stretch.len()).sum();
    html! {
        p.soft {
            "Of frames in a row whose levels stay the same, the first is shown; frames are counted among those that both "
            "have, seconds from the first of them. A result holds pictures of frames at which its own level rises, at "
            "most of a hundred. Red: the label is probably wrong. Yellow box: anomalous."
        }
        @if frames > 0 { p { "Not shown: " (frames) " more frames, in " (rest.len()) " stretches." } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bag::message::Message as _;
    use crate::bag::writer::{BagWriter, Offer};

    fn changed(number: usize, levels: [&str; 2]) -> Changed {
        let levels = levels.map(|level| (level.to_owned(), Some(0.5)));
        Changed { number, seconds: 0.1 * number as f64, recording: 0, time: 100 * number as i64, levels }
    }

    /// The page of these changes, A having pictures of the frame at time 300.
    fn page(changed: Vec<Changed>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let mut bag = BagWriter::create(&folder.path().join(BAG)).unwrap();
        for (topic, mark) in PICTURES.into_iter().zip([1, 2]) {
            let topic = bag.topic(topic, CompressedImage::DEFINITION, Offer::Reliable).unwrap();
            for (time, data) in [(300, vec![0xff, 0xd8, mark]), (400, b"no picture".to_vec())] {
                bag.write(topic, time, &CompressedImage { data, ..CompressedImage::default() }).unwrap();
            }
        }
        bag.finish().unwrap();
        let path = folder.path().join("page.html");
        let frames = [50, 0, 0];
        let comparison = Comparison { frames, labelled: 0, units: String::new(), rows: Vec::new(), changed };
        write(&path, &comparison, [folder.path(), &folder.path().join("none")]).unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn frames_in_a_row_of_the_same_levels_are_shown_once_with_what_pictures_there_are() {
        let [rise, fall] = [["CAUTION", "NOMINAL"], ["NOMINAL", "CAUTION"]];
        let page = page(vec![
            changed(3, rise),
            changed(4, rise),
            changed(5, fall),
            changed(8, fall),
            changed(9, fall),
        ]);
        let headings: Vec<_> =
            page.split("<h3>").skip(1).map(|rest| rest.split('<').next().unwrap()).collect();
        let expected = ["Frame 3, 0.30 s of recording 0, and 1 after it", "Frame 5, 0.50 s of recording 0"];
        assert_eq!(headings[..2], expected);
        assert_eq!(headings[2], "Frame 8, 0.80 s of recording 0, and 1 after it");
        let shown = [[0xff, 0xd8, 2], [0xff, 0xd8, 1]].map(|data| page.find(&data_uri(&data)).unwrap());
        assert!(shown[0] < shown[1], "A's overlay stands before the camera's picture, which serves B");
        assert_eq!(page.matches("B holds no overlay of it").count(), 1);
        assert_eq!(page.matches("Neither result holds a picture").count(), 4);
        assert!(!page.contains("could not be read") && !page.contains("Not shown"), "{page}");
    }

    #[test]
    fn what_is_not_shown_and_what_cannot_be_read_is_counted() {
        let each_apart = (0..SHOWN + 3).map(|place| changed(2 * place + 4, ["FAILURE", "NOMINAL"]));
        let page = page(each_apart.collect());
        assert_eq!(page.matches("<h3>").count(), SHOWN);
        assert!(page.contains("Not shown: 3 more frames, in 3 stretches."), "{page}");
        assert!(page.contains("2 parts of A's pictures could not be read."), "{page}");
    }
}
