//! How towns, and the streets of one town, differ: palettes and measures.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::Town;
use super::material::Color;

/// The appearance of a town: what its streets choose from.
struct Palette {
    walls: &'static [Color],
    trims: &'static [Color],
    roofs: &'static [Color],
    leaves: &'static [Color],
    grass: &'static [Color],
    paving: &'static [Color],
    brick: f32,
    /// Share of trees that are slim and tall.
    slim: f32,
}

const TRAIN: Palette = Palette {
    walls: &[
        [176, 120, 92],
        [152, 92, 74],
        [196, 178, 150],
        [208, 196, 172],
        [140, 130, 122],
        [186, 160, 128],
        [120, 104, 98],
        [214, 206, 190],
    ],
    trims: &[[226, 220, 208], [96, 78, 66], [180, 172, 160]],
    roofs: &[[122, 66, 52], [84, 78, 78], [98, 86, 80], [142, 84, 60]],
    leaves: &[[66, 92, 44], [84, 110, 50], [54, 80, 48], [104, 116, 52], [72, 84, 38]],
    grass: &[[92, 112, 58], [112, 122, 70], [120, 108, 78]],
    paving: &[[150, 144, 138], [132, 128, 126], [164, 152, 140]],
    brick: 0.4,
    slim: 0.2,
};

const VAL: Palette = Palette {
    walls: &[
        [200, 184, 156],
        [164, 104, 84],
        [156, 150, 144],
        [190, 148, 110],
        [224, 212, 188],
        [132, 112, 104],
    ],
    trims: &[[214, 206, 196], [88, 84, 80]],
    roofs: &[[110, 60, 50], [74, 74, 80]],
    leaves: &[[74, 96, 50], [62, 88, 42], [96, 110, 60]],
    grass: &[[96, 116, 62], [128, 116, 84]],
    paving: &[[142, 138, 134], [156, 146, 134]],
    brick: 0.3,
    slim: 0.3,
};

const TEST: Palette = Palette {
    walls: &[
        [222, 202, 158],
        [208, 164, 130],
        [190, 196, 200],
        [168, 178, 172],
        [226, 216, 206],
        [178, 134, 118],
        [146, 152, 160],
    ],
    trims: &[[236, 232, 226], [110, 120, 116], [140, 108, 84]],
    roofs: &[[158, 92, 66], [94, 98, 106], [128, 74, 58]],
    leaves: &[[80, 104, 62], [60, 84, 54], [98, 112, 66]],
    grass: &[[108, 120, 66], [138, 126, 92]],
    paving: &[[168, 160, 148], [146, 146, 146]],
    brick: 0.15,
    slim: 0.5,
};

impl Town {
    fn palette(self) -> &'static Palette {
        match self {
            Self::Train => &TRAIN,
            Self::Val => &VAL,
            Self::Test => &TEST,
        }
    }
}

/// What stands along a street.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum District {
    /// House beside house, high.
    Centre,
    /// Houses with gaps and gardens.
    Suburb,
    /// Trees in rows, houses behind.
    Avenue,
    /// Walls, fences, sheds.
    Works,
}

/// One street, chosen at random once per drive.
#[derive(Clone, Debug)]
pub(crate) struct Style {
    /// What stands along it.
    pub district: District,
    /// Colours of walls, trims, roofs, leaves.
    pub walls: &'static [Color],
    /// Window frames, ledges.
    pub trims: &'static [Color],
    /// Roofs.
    pub roofs: &'static [Color],
    /// Leaves.
    pub leaves: &'static [Color],
    /// Beside the pavement.
    pub grass: Color,
    /// Slabs of the pavement.
    pub paving: Color,
    /// Side of a slab in metres.
    pub slab: f32,
    /// Share of brick walls.
    pub brick: f32,
    /// Share of slim trees.
    pub slim: f32,
    /// Half the width of the carriageway, parking included, in metres.
    pub half_road: f32,
    /// Width of a parking strip on each side; 0 for none.
    pub parking: f32,
    /// Width of a pavement.
    pub sidewalk: f32,
    /// From the pavement to the houses.
    pub setback: f32,
    /// Fewest and most floors.
    pub floors: (i32, i32),
    /// Share of lots with a house.
    pub built: f32,
    /// Metres between street trees; none if infinite.
    pub tree_spacing: f32,
    /// Metres between lamp posts.
    pub lamp_spacing: f32,
    /// Lots between crossings.
    pub crossing_every: u64,
    /// Share of parking places that are taken.
    pub parked: f32,
    /// Moving vehicles on 150 m.
    pub vehicles: usize,
    /// People on 150 m.
    pub people: usize,
    /// Speed of the camera in m/s.
    pub speed: f32,
}

impl Style {
    /// Chooses a street of `town` at random.
    pub(crate) fn draw(town: Town, rng: &mut ChaCha8Rng) -> Self {
        use District::{Avenue, Centre, Suburb, Works};
        let palette = town.palette();
        // The test town is less of a centre than the others.
        let districts = match town {
            Town::Test => [Centre, Suburb, Avenue, Avenue, Works, Suburb],
            _ => [Centre, Centre, Suburb, Avenue, Works, Suburb],
        };
        let district = districts[rng.random_range(0..districts.len())];
        let pick = |colors: &[Color], rng: &mut ChaCha8Rng| colors[rng.random_range(0..colors.len())];
        let parking = if rng.random_bool(0.6) { 2.1 } else { 0. };
        let lane = rng.random_range(3.0..3.8);
        let (floors, built, setback) = match district {
            Centre => ((3, 6), 0.95, rng.random_range(0.0..0.6)),
            Suburb => ((1, 3), 0.75, rng.random_range(3.0..7.0)),
            Avenue => ((2, 5), 0.7, rng.random_range(1.0..5.0)),
            Works => ((1, 3), 0.55, rng.random_range(1.0..4.0)),
        };
        Self {
            district,
            walls: palette.walls,
            trims: palette.trims,
            roofs: palette.roofs,
            leaves: palette.leaves,
            grass: pick(palette.grass, rng),
            paving: pick(palette.paving, rng),
            slab: [0.3, 0.5, 0.8, 1.2][rng.random_range(0..4)],
            brick: palette.brick,
            slim: palette.slim,
            half_road: lane + parking,
            parking,
            sidewalk: rng.random_range(1.8..4.0),
            setback,
            floors,
            built,
            tree_spacing: match district {
                Avenue => rng.random_range(8.0..13.0),
                Suburb => rng.random_range(14.0..30.0),
                Centre if rng.random_bool(0.5) => rng.random_range(14.0..26.0),
                Centre => f32::INFINITY,
                Works => rng.random_range(20.0..50.0),
            },
            lamp_spacing: rng.random_range(18.0..32.0),
            crossing_every: rng.random_range(4..9),
            parked: rng.random_range(0.3..0.9),
            vehicles: rng.random_range(3..11),
            people: match district {
                Centre => rng.random_range(8..22),
                Works => rng.random_range(2..7),
                _ => rng.random_range(4..13),
            },
            speed: rng.random_range(5.0..10.0),
        }
    }

    /// Where the pavement ends.
    pub(crate) fn lot_line(&self) -> f32 {
        self.half_road + self.sidewalk
    }

    /// Where the houses begin.
    pub(crate) fn house_line(&self) -> f32 {
        self.lot_line() + self.setback
    }

    /// Middle of the camera's own lane, right of the road's middle.
    pub(crate) fn lane(&self) -> f32 {
        (self.half_road - self.parking) / 2.
    }
}
