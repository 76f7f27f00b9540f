//! From the tensors of a published checkpoint to those that a network here is made of.

use std::collections::{BTreeMap, BTreeSet};

use tch::{Kind, Tensor};

use crate::network::{Shapes, Tensors};

/// Endings of tensors that only training reads: counters, and the running sums of the public
/// synchronized batch norm.
const BOOKKEEPING: [&str; 4] =
    ["num_batches_tracked", "_tmp_running_mean", "_tmp_running_var", "_running_iter"];

/// All that has to be done to a checkpoint: names as here, without what only training reads, spectral norm
/// folded, and every real number fp32.
pub fn prepare(tensors: Tensors) -> Tensors {
    let real = |t: Tensor| if t.is_floating_point() { t.to_kind(Kind::Float) } else { t };
    fold_spectral_norm(renamed(tensors)).into_iter().map(|(name, t)| (name, real(t))).collect()
}

/// The shapes that `prepare` gives of tensors of these shapes.
pub fn prepared_shapes(shapes: &Shapes) -> Shapes {
    let mut shapes = renamed(shapes.clone());
    let stems = stems(&shapes);
    for stem in stems {
        let part = |part: &str| shapes.get(&format!("{stem}{part}"));
        let Some((weight, u)) = part("weight_orig").zip(part("weight_u")) else { continue };
        let Some([_, columns]) = matrix_of(weight, u) else { continue };
        if part("weight_v").is_some_and(|v| count(v) != columns) {
            continue;
        }
        let weight = weight.clone();
        for part in ["weight_orig", "weight_u", "weight_v"] {
            shapes.remove(&format!("{stem}{part}"));
        }
        shapes.insert(format!("{stem}weight"), weight);
    }
    shapes
}

fn stems<T>(by_name: &BTreeMap<String, T>) -> Vec<String> {
    by_name.keys().filter_map(|name| name.strip_suffix("weight_orig").map(str::to_owned)).collect()
}

/// Names as the networks here have them, of tensors or of anything else that has the tensors' names: without
/// what wrappers around a network put before them, and what only training reads.
pub fn renamed<T>(tensors: BTreeMap<String, T>) -> BTreeMap<String, T> {
    let mut tensors = without_bookkeeping(tensors);
    // How often an averaged network took part in the average; it stands outside of the network.
    if tensors.keys().filter(|name| *name != "n_averaged").all(|name| name.starts_with("module.")) {
        tensors.remove("n_averaged");
    }
    let tensors = renamed_by(tensors, |name| Some(name.replace("_orig_mod.", "")));
    let mut tensors = renamed_by(tensors, spectral_norm_of_old);
    // In whatever order the wrappers lie around the network, each is there once or twice.
    while !tensors.is_empty() && tensors.keys().all(|name| name.starts_with(MODULE)) {
        tensors = tensors.into_iter().map(|(name, t)| (name[MODULE.len()..].to_owned(), t)).collect();
    }
    tensors
}

/// How a training here names its networks, before a `/`, in the checkpoint of a work folder.
const TRAINED: [&str; 3] = ["m", "g", "f"];

/// Which network a training's checkpoint is of, by its tensors' names: `m`, `g` or `f`. `None` of any other file.
pub fn trained<T>(tensors: &BTreeMap<String, T>) -> Option<&'static str> {
    let is_of = |symbol: &&str| {
        let mut first = tensors.keys().filter_map(|name| name.split_once('/'));
        first.any(|(before, _)| before == *symbol)
    };
    TRAINED.into_iter().find(is_of)
}

/// Of a training's checkpoint the tensors of the network itself, without its optimizer's; of any other file all.
pub fn without_training<T>(tensors: BTreeMap<String, T>) -> BTreeMap<String, T> {
    let Some(symbol) = trained(&tensors) else { return tensors };
    let own = |(name, tensor): (String, T)| match name.split_once('/') {
        Some((before, name)) if before == symbol => Some((name.to_owned(), tensor)),
        _ => None,
    };
    tensors.into_iter().filter_map(own).collect()
}

/// Names, by which anything is kept, without what stands before every one of them, if that makes them the
/// network's: a trainer's `model.`, for one. `prefix` begins the network's names of this file. Also what was
/// taken off.
pub fn fitted<T>(
    tensors: BTreeMap<String, T>,
    network: &Shapes,
    prefix: &str,
) -> (BTreeMap<String, T>, String) {
    let known = |name: &str| {
        // Under spectral norm here, folded there, or the other way round.
        let weight = name.strip_suffix("weight_orig").map(|stem| format!("{stem}weight"));
        let names = [Some(name.to_owned()), Some(format!("{name}_orig")), weight];
        names.into_iter().flatten().any(|name| network.contains_key(&format!("{prefix}{name}")))
    };
    let mut longest = String::new();
    loop {
        let cut = longest.len();
        if tensors.keys().any(|name| known(&name[cut..])) {
            break;
        }
        let Some((part, _)) = tensors.keys().next().and_then(|name| name[cut..].split_once('.')) else {
            return (tensors, String::new());
        };
        let longer = format!("{longest}{part}.");
        if !tensors.keys().all(|name| name.starts_with(&longer)) {
            return (tensors, String::new());
        }
        longest = longer;
    }
    let cut = longest.len();
    (tensors.into_iter().map(|(name, t)| (name[cut..].to_owned(), t)).collect(), longest)
}

/// What data-parallel training puts before every name.
const MODULE: &str = "module.";

/// Renames all, unless two would then have the same name: none then is lost.
fn renamed_by<T>(
    tensors: BTreeMap<String, T>,
    rename: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, T> {
    let new = |name: &String| rename(name).unwrap_or_else(|| name.clone());
    let names: BTreeSet<String> = tensors.keys().map(new).collect();
    if names.len() < tensors.len() {
        return tensors;
    }
    tensors.into_iter().map(|(name, t)| (new(&name), t)).collect()
}

/// The old name of a part of a weight that `torch.nn.utils.parametrizations.spectral_norm` norms.
fn spectral_norm_of_old(name: &str) -> Option<String> {
    let (stem, part) = name.split_once("parametrizations.weight.")?;
    let part = match part {
        "original" => "weight_orig",
        "0._u" => "weight_u",
        "0._v" => "weight_v",
        _ => return None,
    };
    Some(format!("{stem}{part}"))
}

/// Leaves out what only training reads.
pub(crate) fn without_bookkeeping<T>(mut tensors: BTreeMap<String, T>) -> BTreeMap<String, T> {
    tensors.retain(|name, _| !BOOKKEEPING.iter().any(|ending| name.ends_with(ending)));
    tensors
}

fn count(shape: &[i64]) -> i64 {
    shape.iter().fold(1, |n: i64, &side| n.saturating_mul(side))
}

/// Rows and columns of a weight of this shape as the matrix whose spectral norm `u` belongs to; see `matrix`.
pub(super) fn matrix_of(weight: &[i64], u: &[i64]) -> Option<[i64; 2]> {
    let rows = count(u);
    match weight {
        [first, rest @ ..] if *first == rows && !rest.is_empty() => Some([rows, count(rest)]),
        [first, second, rest @ ..] if *second == rows => Some([rows, first.saturating_mul(count(rest))]),
        _ => None,
    }
}

/// A weight as the matrix whose spectral norm `u` belongs to: a row for each entry of `u`, which are
/// the weight's first axis or, of a transposed convolution, its second. `None` if it is neither.
pub fn matrix(weight: &Tensor, u: &Tensor) -> Option<Tensor> {
    let (size, rows) = (weight.size(), u.numel() as i64);
    match size.as_slice() {
        [first, _, ..] if *first == rows => Some(weight.flatten(1, -1)),
        [_, second, ..] if *second == rows => Some(weight.transpose(0, 1).flatten(1, -1)),
        _ => None,
    }
}

/// Divides every weight under spectral norm (`weight_orig`, `weight_u`, `weight_v`) by its norm, as
/// inference does: what is left is one `weight`. Checkpoints from before PyTorch 1.0 have no `weight_v`;
/// the norm then follows from `u`. Triples that do not fit together stay, to be reported by whoever loads
/// them.
pub(crate) fn fold_spectral_norm(mut tensors: Tensors) -> Tensors {
    for stem in stems(&tensors) {
        let name = |part: &str| format!("{stem}{part}");
        let folded = {
            let part = |n: &str| tensors.get(&name(n)).map(|t| t.to_kind(Kind::Double));
            let Some((weight, u)) = part("weight_orig").zip(part("weight_u")) else { continue };
            let Some(matrix) = matrix(&weight, &u) else { continue };
            let right = matrix.tr().mv(&u.flatten(0, -1));
            let sigma = match part("weight_v") {
                Some(v) if v.numel() == right.numel() => right.dot(&v.flatten(0, -1)),
                Some(_) => continue,
                None => right.norm(),
            };
            (weight / sigma).to_kind(Kind::Float)
        };
        for part in ["weight_orig", "weight_u", "weight_v"] {
            tensors.remove(&name(part));
        }
        tensors.insert(name("weight"), folded);
    }
    tensors
}

/// The opposite, for a network that trains under spectral norm: a `weight` whose norm is one, with
/// directions that say so. `rows` is the length of `u`.
pub(crate) fn unfold_spectral_norm(weight: &Tensor, rows: i64) -> Option<[Tensor; 3]> {
    let weight = weight.to_kind(Kind::Float);
    let mut u = Tensor::ones([rows], (Kind::Float, weight.device()));
    let matrix = matrix(&weight, &u)?;
    for _ in 0..POWER_ITERATIONS {
        u = matrix.mv(&matrix.tr().mv(&u));
        u = &u / (u.norm() + 1e-12);
    }
    // Of this length, u'Wv is one whatever u is; a training step begins by computing v anew.
    let v = matrix.tr().mv(&u);
    let v = &v / v.dot(&v);
    Some([weight, u, v])
}

/// Enough for a direction that training goes on refining.
const POWER_ITERATIONS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(entries: &[(&str, Tensor)]) -> Tensors {
        entries.iter().map(|(name, t)| ((*name).to_owned(), t.shallow_clone())).collect()
    }

    #[test]
    fn a_folded_weight_is_the_original_over_its_norm() {
        // u'Wv = 0.6 * 3 * 1 = 1.8 with u = (0.6, 0.8), v = (1, 0).
        let weight = Tensor::from_slice(&[3f32, 5., 0., 7.]).view([2, 2, 1, 1]);
        let u = Tensor::from_slice(&[0.6f32, 0.8]);
        let v = Tensor::from_slice(&[1f32, 0.]);
        let whole = tensors(&[("a.weight_orig", weight.copy()), ("a.weight_u", u.copy()), ("a.weight_v", v)]);
        let folded = fold_spectral_norm(whole);
        assert_eq!(folded.keys().collect::<Vec<_>>(), ["a.weight"]);
        assert!(((&folded["a.weight"] * 1.8 - &weight).abs().max().double_value(&[])) < 1e-6);

        // Without v: |W'u| = |(1.8, 8.6)|.
        let old = fold_spectral_norm(tensors(&[("a.weight_orig", weight.copy()), ("a.weight_u", u)]));
        let sigma = 1.8f64.hypot(8.6);
        assert!(((&old["a.weight"] * sigma - &weight).abs().max().double_value(&[])) < 1e-5);
    }

    #[test]
    fn what_does_not_fit_together_stays() {
        let odd = tensors(&[
            ("a.weight_orig", Tensor::from_slice(&[1f32, 2.]).view([2, 1])),
            ("a.weight_u", Tensor::from_slice(&[1f32, 0., 0.])),
        ]);
        assert_eq!(prepared_shapes(&super::super::weights::shapes_of(&odd)).len(), 2);
        assert_eq!(fold_spectral_norm(odd).len(), 2);
    }

    #[test]
    fn an_unfolded_weight_has_norm_one() {
        let weight = Tensor::from_slice(&[1f32, 2., 3., 4., 5., 7.]).view([2, 3, 1, 1]);
        for rows in [2, 3] {
            let [w, u, v] = unfold_spectral_norm(&weight, rows).unwrap();
            let sigma = u.dot(&matrix(&w, &u).unwrap().mv(&v)).double_value(&[]);
            assert!((sigma - 1.).abs() < 1e-6 && w == weight, "{sigma}");
        }
    }

    #[test]
    fn what_wrappers_put_before_names_goes_where_it_is_everywhere() {
        let names = |names: &[&str]| -> Vec<String> {
            renamed(names.iter().map(|name| ((*name).to_owned(), ())).collect()).into_keys().collect()
        };
        assert_eq!(names(&["module.a", "module.b"]), ["a", "b"]);
        assert_eq!(names(&["module.a", "b"]), ["b", "module.a"]);
        assert_eq!(names(&["_orig_mod.a", "_orig_mod.b"]), ["a", "b"]);
        assert_eq!(names(&["_orig_mod.module.a"]), ["a"]);
        assert_eq!(names(&["module._orig_mod.a"]), ["a"]);
        assert_eq!(names(&["encoder._orig_mod.a", "b"]), ["b", "encoder.a"]);
        // What torch.optim.swa_utils.AveragedModel adds, and a network's own of that name.
        assert_eq!(names(&["module.a", "n_averaged"]), ["a"]);
        assert_eq!(names(&["a", "n_averaged"]), ["a", "n_averaged"]);
        // Nothing is lost where two would become one.
        assert_eq!(names(&["_orig_mod.a", "a"]), ["_orig_mod.a", "a"]);
    }

    #[test]
    fn of_a_trainings_checkpoint_the_network_is_taken_alone() {
        let map = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), ())).collect();
        let taken = |names: &[&str]| without_training(map(names)).into_keys().collect::<Vec<_>>();
        let checkpoint = ["f.adam/first/a.weight", "f.adam/steps", "f/a.bias", "f/a.weight"];
        assert_eq!(
            (trained(&map(&checkpoint)), taken(&checkpoint)),
            (Some("f"), vec!["a.bias".into(), "a.weight".into()])
        );
        // Anybody else's, with names that begin alike.
        let other = ["f.weight", "m", "x/f/a"];
        assert_eq!((trained(&map(&other)), taken(&other)), (None, other.map(str::to_owned).to_vec()));
    }

    #[test]
    fn spectral_norm_in_the_new_style_is_folded_as_in_the_old() {
        let weight = Tensor::from_slice(&[3f32, 5., 0., 7., 1., 2.]).view([2, 3, 1, 1]);
        let u = Tensor::from_slice(&[0.6f32, 0.8]);
        let v = Tensor::from_slice(&[1f32, 0., 0.]);
        let named = |names: [&str; 3]| {
            tensors(&[(names[0], weight.copy()), (names[1], u.copy()), (names[2], v.copy())])
        };
        let old = named(["a.weight_orig", "a.weight_u", "a.weight_v"]);
        let new = named([
            "a.parametrizations.weight.original",
            "a.parametrizations.weight.0._u",
            "a.parametrizations.weight.0._v",
        ]);
        let shapes = super::super::weights::shapes_of(&new);
        let (old, new) = (prepare(old), prepare(new));
        assert!(new.keys().eq(["a.weight"]) && new["a.weight"] == old["a.weight"]);
        assert_eq!(prepared_shapes(&shapes), super::super::weights::shapes_of(&new));
    }
}
