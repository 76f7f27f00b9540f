use std::collections::HashSet;

use tch::Device;

use super::*;

const ALPHABET: Alphabet = Alphabet { classes: 3 };

fn maps(batch: usize, height: usize, width: usize, symbol: impl Fn(usize) -> u8) -> LabelMaps {
    let symbols = (0..batch * height * width).map(symbol).collect();
    LabelMaps { batch, height, width, symbols, alphabet: ALPHABET }
}

fn noise(i: usize) -> u8 {
    ((i * 2_654_435_761) >> 7) as u8 % 4
}

/// The 25 labels around a pixel, read one by one.
fn patch_at(maps: &LabelMaps, pixel: usize) -> Vec<u8> {
    let area = maps.height * maps.width;
    let (y, x) = (pixel % area / maps.width, pixel % maps.width);
    let label = |dy: usize, dx: usize| {
        let (y, x) = ((y + dy).checked_sub(2)?, (x + dx).checked_sub(2)?);
        let inside = y < maps.height && x < maps.width;
        inside.then(|| maps.symbols[pixel / area * area + y * maps.width + x])
    };
    (0..25).map(|i| label(i / 5, i % 5).unwrap_or(ALPHABET.outside())).collect()
}

/// Row by row.
fn labels_of(Patch(upper, lower): Patch) -> Vec<u8> {
    [&upper.to_be_bytes()[1..], &lower.to_be_bytes()[6..]].concat()
}

#[test]
fn two_pixels_share_a_slot_exactly_if_their_patches_are_equal() {
    for (batch, height, width) in [(1, 1, 1), (1, 2, 7), (2, 5, 4), (1, 16, 9)] {
        let maps = maps(batch, height, width, |i| if i % 3 == 0 { noise(i) } else { 1 });
        let plan = PatchIndex::new(usize::MAX).plan(&maps, usize::MAX).unwrap();
        assert_eq!(plan.slots.len(), maps.pixels());
        for (pixel, &slot) in plan.slots.iter().enumerate() {
            let stored: Vec<u8> = labels_of(plan.new[slot as usize]);
            assert_eq!(stored, patch_at(&maps, pixel), "{batch}x{height}x{width} pixel {pixel}");
        }
        let distinct: HashSet<Vec<u8>> = (0..maps.pixels()).map(|p| patch_at(&maps, p)).collect();
        assert_eq!(plan.new.len(), distinct.len());
    }
}

#[test]
fn a_constant_map_has_a_patch_for_each_distance_from_the_border() {
    let index = &mut PatchIndex::new(100);
    let plan = index.plan(&maps(1, 32, 32, |_| 2), 100).unwrap();
    assert_eq!(plan.new.len(), 25);
    let again = index.plan(&maps(1, 40, 20, |_| 2), 100).unwrap();
    assert!(again.new.is_empty() && index.len() == 25, "other sizes have the same patches");
}

#[test]
fn ids_that_are_no_class_are_no_label() {
    let ids = Tensor::from_slice(&[0i64, 2, 3, 255, -1, 1]).view([1, 2, 3]).to_device(Device::Cpu);
    let maps = LabelMaps::read(&ids, ALPHABET).unwrap();
    assert_eq!(maps.symbols, [0, 2, 3, 3, 3, 1]);
    let bytes = LabelMaps::read(&ids.to_kind(Kind::Uint8), ALPHABET).unwrap();
    assert_eq!(bytes, maps);
}

#[test]
fn resizing_takes_what_pytorch_takes() {
    let maps = maps(2, 6, 10, noise);
    let small = maps.resized(3, 4);
    let expected: Vec<u8> = [0, 1]
        .iter()
        .flat_map(|n| [0, 2, 4].map(|y| [0, 2, 5, 7].map(|x| maps.symbols[n * 60 + y * 10 + x])))
        .flatten()
        .collect();
    assert_eq!(small.symbols, expected);
}

#[test]
fn ingredients_name_nine_hidden_vectors_a_patch() {
    // One pixel of class 1: alone in its 3x3, everything else is outside.
    let plan = PatchIndex::new(9).plan(&maps(1, 1, 1, |_| 1), 9).unwrap();
    let ingredients = Ingredients::of(&plan.new, ALPHABET);
    let symbols = ALPHABET.symbols() as i64;
    let outside = i64::from(ALPHABET.outside());
    let expected: Vec<i64> = (0..9).map(|tap| tap * symbols + if tap == 4 { 1 } else { outside }).collect();
    assert_eq!(ingredients.columns, expected);
    assert_eq!(ingredients.hidden, [1, 1, 1, 1, 0, 1, 1, 1, 1]);
}

#[test]
fn neighbours_share_their_3x3_patches_and_nothing_else() {
    // Stripes and noise: neighbours that are alike, and such as are not.
    for symbol in [noise, |i| (i / 3 % 3) as u8, |_| 2] {
        let plan = PatchIndex::new(1000).plan(&maps(2, 6, 10, symbol), 1000).unwrap();
        let Ingredients { columns, hidden } = Ingredients::of(&plan.new, ALPHABET);
        let named: Vec<Vec<u8>> = columns
            .chunks(9)
            .map(|nine| nine.iter().map(|&c| (c % ALPHABET.symbols() as i64) as u8).collect())
            .collect();
        assert_eq!(named.iter().collect::<std::collections::HashSet<_>>().len(), named.len(), "each once");
        for (patch, numbers) in plan.new.iter().zip(hidden.chunks(9)) {
            let labels = labels_of(*patch);
            for (place, &number) in numbers.iter().enumerate() {
                let at = place / 3 * 5 + place % 3;
                let inner: Vec<u8> =
                    [0, 5, 10].iter().flat_map(|row| labels[at + row..][..3].to_vec()).collect();
                match named.get(number as usize) {
                    Some(found) => assert_eq!(*found, inner),
                    None => assert_eq!(inner[4], ALPHABET.outside()),
                }
            }
        }
    }
}

#[test]
fn a_map_that_repeats_nothing_is_left_alone() {
    let index = &mut PatchIndex::new(10_000);
    let constant = index.plan(&maps(1, 16, 16, |_| 0), 256).unwrap();
    assert_eq!(index.plan(&maps(1, 16, 16, noise), 100), None);
    assert_eq!((index.len(), index.counts().dense), (constant.new.len(), 1));
    let again = index.plan(&maps(1, 16, 16, |_| 0), 0).unwrap();
    assert_eq!((again.slots, again.new), (constant.slots, vec![]));
}

#[test]
fn no_map_of_a_size_takes_more_memory_than_the_first() {
    let index = &mut PatchIndex::new(300);
    index.plan(&maps(1, 12, 12, |_| 0), 144).unwrap();
    let taken = index.slots.capacity();
    for shift in 0..20 {
        index.plan(&maps(1, 12, 12, move |i| noise(i + 3 * shift)), if shift % 5 == 0 { 100 } else { 144 });
        assert_eq!(index.slots.capacity(), taken);
    }
    let counts = index.counts();
    assert!(counts.dense > 0 && counts.evicted > 0, "{counts:?}: some are refused, some make room");
}

#[test]
fn the_limit_holds_and_what_is_in_view_stays() {
    let (limit, index) = (200, &mut PatchIndex::new(200));
    let view = |shift: usize| maps(1, 10, 10, move |i| noise(i + 3 * shift));
    for shift in 0..20 {
        let maps = view(shift);
        let before = index.patches.clone();
        let plan = index.plan(&maps, usize::MAX).unwrap();
        assert!(index.len() <= limit && plan.room == limit);
        for (pixel, &slot) in plan.slots.iter().enumerate() {
            let rows = patch_at(&maps, pixel);
            let row = |y: usize| rows[5 * y..5 * y + 5].iter().fold(0, |code, &s| code << 8 | u64::from(s));
            assert_eq!(index.patches[slot as usize], Patch::new(std::array::from_fn(row)));
        }
        let kept = plan.kept.clone().unwrap_or_else(|| (0..before.len() as i64).collect());
        let stayed: Vec<Patch> = kept.iter().map(|&slot| before[slot as usize]).collect();
        assert_eq!(index.patches, [stayed, plan.new].concat());
    }
    assert!(index.counts().evicted > 0);
    assert_eq!(index.plan(&maps(1, 30, 30, noise), usize::MAX), None, "more than the limit at once");
    assert!(index.len() <= limit);
}
