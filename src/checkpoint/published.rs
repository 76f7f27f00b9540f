//! From the tensors of a published checkpoint to those that a network here is made of.

use tch::{Kind, Tensor};

use crate::network::Tensors;

/// Endings of tensors that only training reads: counters, and the running sums of the public
/// synchronized batch norm.
const BOOKKEEPING: [&str; 4] =
    ["num_batches_tracked", "_tmp_running_mean", "_tmp_running_var", "_running_iter"];

/// All that has to be done to a checkpoint: takes off `module.`, leaves out what only training reads,
/// folds spectral norm, and makes every real number fp32.
pub fn prepare(tensors: Tensors) -> Tensors {
    let tensors = fold_spectral_norm(without_bookkeeping(without_module(tensors)));
    let real = |t: Tensor| if t.is_floating_point() { t.to_kind(Kind::Float) } else { t };
    tensors.into_iter().map(|(name, t)| (name, real(t))).collect()
}

/// Leaves out what only training reads.
pub(crate) fn without_bookkeeping(mut tensors: Tensors) -> Tensors {
    tensors.retain(|name, _| !BOOKKEEPING.iter().any(|ending| name.ends_with(ending)));
    tensors
}

/// Takes off the `module.` that data-parallel training puts before every name.
pub(crate) fn without_module(tensors: Tensors) -> Tensors {
    if !tensors.keys().all(|name| name.starts_with("module.")) {
        return tensors;
    }
    tensors.into_iter().map(|(name, t)| (name["module.".len()..].to_owned(), t)).collect()
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
    let stems: Vec<String> =
        tensors.keys().filter_map(|name| name.strip_suffix("weight_orig").map(str::to_owned)).collect();
    for stem in stems {
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
    fn module_goes_only_where_it_is_everywhere() {
        let t = Tensor::from(1f32);
        let parallel = without_module(tensors(&[("module.a", t.copy()), ("module.b", t.copy())]));
        assert_eq!(parallel.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(without_module(tensors(&[("module.a", t.copy()), ("b", t)])).len(), 2);
    }
}
