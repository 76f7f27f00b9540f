//! Logistic regression by Newton's method, lightly regularised.

use tch::{Kind, TchError, Tensor};

/// Strength of the pull of every weight of a standardised feature to 0: that of one more example.
const RIDGE: f64 = 1.;
/// Newton's method needs some five steps; where classes can be told apart, the pull ends it.
const STEPS: usize = 30;

/// The intercept and one weight a feature under which the examples are likeliest. Both kinds must be there, and
/// every number finite.
pub(super) fn fit<const N: usize>(examples: &[([f32; N], bool)]) -> Result<(f32, [f32; N]), TchError> {
    let rows: Vec<f32> = examples.iter().flat_map(|(features, _)| *features).collect();
    let truth: Vec<f64> = examples.iter().map(|(_, truth)| f64::from(u8::from(*truth))).collect();
    let x = Tensor::from_slice(&rows).to_kind(Kind::Double).f_reshape([examples.len() as i64, N as i64])?;
    let y = Tensor::from_slice(&truth);
    let mean = x.f_mean_dim(0, true, Kind::Double)?;
    // A feature that is the same everywhere tells nothing, and is not divided by nothing.
    let spread = x.f_std_dim(0, false, true)?.f_clamp_min(1e-9)?;
    let ones = Tensor::f_ones([examples.len() as i64, 1], (Kind::Double, x.device()))?;
    let x = Tensor::f_cat(&[ones, ((x - &mean) / &spread).f_contiguous()?], 1)?;
    let mut pull = vec![RIDGE; N + 1];
    pull[0] = 1e-6;
    let pull = Tensor::from_slice(&pull);
    let mut weights = Tensor::f_zeros([N as i64 + 1], (Kind::Double, x.device()))?;
    for _ in 0..STEPS {
        let p = x.f_mv(&weights)?.f_sigmoid()?;
        let slope = x.f_tr()?.f_mv(&(&p - &y))? + &pull * &weights;
        let spread = &p - &p * &p;
        let curve = x.f_tr()?.f_matmul(&(&x * spread.f_unsqueeze(1)?))? + pull.f_diag(0)?;
        let step = Tensor::f_linalg_solve(&curve, &slope, true)?;
        weights -= &step;
        if step.f_abs()?.f_max()?.double_value(&[]) < 1e-9 {
            break;
        }
    }
    let slopes = weights.f_slice(0, 1, None, 1)? / spread.f_reshape([N as i64])?;
    let intercept = weights.double_value(&[0])
        - (&slopes * mean.f_reshape([N as i64])?).f_sum(Kind::Double)?.double_value(&[]);
    let weights = std::array::from_fn(|i| slopes.double_value(&[i as i64]) as f32);
    Ok((intercept as f32, weights))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_model_that_made_the_examples_is_found_again_and_a_constant_feature_has_no_weight() {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let examples: Vec<([f32; 3], bool)> = (0..20_000)
            .map(|_| {
                let (a, b) = (rng.random_range(0.0..1.0_f32), rng.random_range(-9.0..-3.0_f32));
                let p = 1. / (1. + (-(2. + 3. * a + 0.5 * b)).exp());
                ([a, b, 7.], rng.random_range(0.0..1.0_f32) < p)
            })
            .collect();
        let (intercept, weights) = fit(&examples).unwrap();
        assert!((intercept - 2.).abs() < 0.2, "{intercept}");
        assert!((weights[0] - 3.).abs() < 0.2 && (weights[1] - 0.5).abs() < 0.05, "{weights:?}");
        assert!(weights[2].abs() < 1e-3, "{weights:?}");
    }

    #[test]
    fn examples_that_can_be_told_apart_give_finite_weights() {
        let examples: Vec<([f32; 1], bool)> = (0..10).map(|i| ([i as f32], i >= 5)).collect();
        let (intercept, [weight]) = fit(&examples).unwrap();
        let p = |x: f32| 1. / (1. + (-(intercept + weight * x)).exp());
        assert!(weight.is_finite() && (p(4.5) - 0.5).abs() < 1e-3, "{intercept} {weight}");
        assert!(p(0.) < 0.2 && p(9.) > 0.8, "{intercept} {weight}");
    }
}
