//! What a polygon is made of: its appearance and its class.

use super::texture::hash;

/// sRGB.
pub(crate) type Color = [u8; 3];

/// Linear light.
pub(crate) type Light = [f32; 3];

/// Classes of the label set `cityscapes` that the world shows, by their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Class {
    Road = 0,
    Sidewalk = 1,
    Building = 2,
    Wall = 3,
    Fence = 4,
    Pole = 5,
    TrafficLight = 6,
    TrafficSign = 7,
    Vegetation = 8,
    Terrain = 9,
    Sky = 10,
    Person = 11,
    Rider = 12,
    Car = 13,
    Truck = 14,
    Bus = 15,
    Motorcycle = 17,
    Bicycle = 18,
}

/// What a pixel shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An object of a class.
    Known(Class),
    /// An anomaly object, of no class.
    Anomalous,
}

impl Kind {
    /// Its id in a label image.
    pub fn label(self) -> u8 {
        match self {
            Self::Known(class) => class as u8,
            Self::Anomalous => crate::labels::IGNORE,
        }
    }

    /// Whether it has no class.
    pub(crate) fn is_anomalous(self) -> bool {
        self == Self::Anomalous
    }
}

/// The appearance of a surface. Coordinates (u, v) are metres on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Surface {
    /// A carriageway; u lies across it.
    Asphalt(Marking),
    /// Slabs of `size` metres.
    Paving { color: Color, size: f32 },
    /// Grass, soil, gravel.
    Ground { color: Color, rough: f32 },
    /// A wall with windows; v is the height over the street.
    Facade(Facade),
    /// Courses of bricks.
    Brick(Color),
    /// Plaster, concrete, stone: one colour, stained.
    Stained { color: Color, stain: f32 },
    /// Leaves.
    Leaves(Color),
    /// Paint that shines as much as `gloss` (0 to 1).
    Paint { color: Color, gloss: f32 },
    /// Cloth.
    Cloth(Color),
    /// A lamp: it shines by itself, in full `strength` at night.
    Lamp { color: Color, strength: f32 },
    /// A sign: a border, a ground and something on it.
    Sign { ground: Color, border: Color, figure: Color, seed: u32 },
    /// The surface of an anomaly object: a pattern in two colours with `scale` repeats per metre.
    Pattern { pattern: Pattern, colors: [Color; 2], scale: f32 },
}

/// What is painted on a carriageway.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Marking {
    /// Nothing.
    Plain,
    /// Lines along both edges and between the lanes; `half` is half the width in metres, `parking` the
    /// width of a parking strip on each side.
    Lanes { half: f32, parking: f32, solid: bool },
    /// A crossing for pedestrians.
    Zebra,
    /// A bar to stop at, on the side where u is positive.
    Stop,
}

/// Patterns of anomaly objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// One colour, a little of the other.
    Plain,
    /// Squares.
    Checks,
    /// Bands around.
    Bands,
    /// Dots.
    Dots,
    /// Wood.
    Grain,
    /// Hair of an animal.
    Fur,
    /// Patches as on a cow.
    Patches,
}

/// A wall with windows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Facade {
    /// The wall.
    pub wall: Color,
    /// Frames, ledges.
    pub trim: Color,
    /// Brick courses rather than plaster.
    pub brick: bool,
    /// Metres per floor.
    pub floor: f32,
    /// Metres per window, with its share of the wall.
    pub bay: f32,
    /// Share of a bay's width and of a floor's height that is window.
    pub window: [f32; 2],
    /// Whether the ground floor has shop windows.
    pub shop: bool,
    /// Tells windows of one house from those of another.
    pub seed: u32,
}

/// A surface of a kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Material {
    /// What it is.
    pub kind: Kind,
    /// Its appearance.
    pub surface: Surface,
}

impl Material {
    /// Of a class.
    pub fn new(class: Class, surface: Surface) -> Self {
        Self { kind: Kind::Known(class), surface }
    }

    /// Of no class.
    pub fn anomalous(pattern: Pattern, colors: [Color; 2], scale: f32) -> Self {
        Self { kind: Kind::Anomalous, surface: Surface::Pattern { pattern, colors, scale } }
    }
}

/// A colour varied by `amount` (0 to 1) in brightness, the same way for the same `seed`.
pub(crate) fn varied(color: Color, amount: f32, seed: u32) -> Color {
    let factor = 1. + amount * (2. * hash(seed as i32, 17, 5) - 1.);
    color.map(|c| (f32::from(c) * factor).clamp(0., 255.) as u8)
}
