//! Label sets and palettes.

/// The id that is never trained and never scored.
pub const IGNORE: u8 = 255;

/// One class of a label set; its id is its place in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Name, lower case.
    pub name: String,
    /// Colour in pictures, RGB.
    pub color: [u8; 3],
}

/// The classes a segmenter tells apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSet {
    /// Name by which bundles refer to it.
    pub name: String,
    /// Classes by id.
    pub classes: Vec<Class>,
}
