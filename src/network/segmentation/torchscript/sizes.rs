//! Which size a network wants that refuses the one it was given: its file does not say, so the usual ones are tried.

/// Heights and widths that segmentation networks are often exported with, the smallest first.
const USUAL: [(u32, u32); 26] = [
    (128, 256),
    (224, 224),
    (256, 256),
    (192, 384),
    (256, 512),
    (384, 384),
    (360, 480),
    (320, 640),
    (480, 480),
    (512, 512),
    (513, 513),
    (384, 768),
    (480, 640),
    (640, 640),
    (540, 960),
    (544, 960),
    (512, 1024),
    (768, 768),
    (769, 769),
    (720, 960),
    (720, 1280),
    (736, 1280),
    (1024, 1024),
    (768, 1536),
    (1080, 1920),
    (1024, 2048),
];

/// What came of trying them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// The first height and width that it takes.
    This(u32, u32),
    /// None of them.
    None,
}

/// Tries them in turn.
pub(super) fn first(takes: impl Fn((u32, u32)) -> bool) -> Takes {
    USUAL
        .into_iter()
        .find(|&size| takes(size))
        .map_or(Takes::None, |(height, width)| Takes::This(height, width))
}

/// What follows from it, for the end of a sentence.
pub(super) fn said(takes: &Option<Takes>) -> String {
    match takes {
        None => String::new(),
        Some(Takes::This(height, width)) => {
            format!("; it takes {height} x {width}: say 'size: [{height}, {width}]' (height, width)")
        }
        Some(Takes::None) => format!(
            "; nor does it take any of {} usual sizes: a network of one argument is needed, a batch of floats N x 3 x \
             h x w; if it has another fixed size, say so: 'size: [height, width]'",
            USUAL.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_size_that_is_taken_is_named() {
        let takes = first(|(height, width)| height * width == 512 * 1024);
        assert_eq!(takes, Takes::This(512, 1024));
        assert!(said(&Some(takes)).contains("say 'size: [512, 1024]' (height, width)"));
        assert_eq!(first(|_| false), Takes::None);
        assert!(USUAL.is_sorted_by_key(|(height, width)| height * width));
    }
}
