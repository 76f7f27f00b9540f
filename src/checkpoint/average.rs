//! The mean of the weights of trainings that went on from one another (Wortsman et al., "Model soups", ICML 2022): it
//! costs what one of them does, and is often better than each.

use std::path::PathBuf;

use tch::Kind;

use super::weights::{self, Tensors, WeightsError, check_finite, misfits, shapes_of};

/// The mean of what is in these safetensors files, tensor by tensor, each as the first file stores it. Every file must
/// hold the same tensors. What are no real numbers, counts of steps, are those of the first.
pub fn mean(paths: &[PathBuf]) -> Result<Tensors, WeightsError> {
    let (mut sums, mut first) = (Tensors::new(), None);
    for path in paths {
        let tensors = weights::read(path)?;
        check_finite(&tensors, path)?;
        let Some(first) = &first else {
            sums = tensors.iter().map(|(name, t)| (name.clone(), t.to_kind(Kind::Double))).collect();
            first = Some(tensors);
            continue;
        };
        if let Some(misfit) = misfits(&shapes_of(first), &shapes_of(&tensors), path).into_iter().next() {
            return Err(misfit);
        }
        for (name, sum) in &mut sums {
            *sum += tensors[name].to_kind(Kind::Double);
        }
    }
    let count = paths.len() as f64;
    let mean = |(name, tensor): (String, tch::Tensor)| {
        let tensor = match tensor.is_floating_point() {
            true => (&sums[&name] / count).to_kind(tensor.kind()),
            false => tensor,
        };
        (name, tensor)
    };
    Ok(first.unwrap_or_default().into_iter().map(mean).collect())
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::*;

    fn stored(folder: &std::path::Path, name: &str, tensors: &[(&str, Tensor)]) -> PathBuf {
        let path = folder.join(name);
        let tensors: Tensors =
            tensors.iter().map(|(name, t)| ((*name).to_owned(), t.shallow_clone())).collect();
        weights::write(&tensors, &path, None).unwrap();
        path
    }

    #[test]
    fn each_weight_is_the_mean_of_those_of_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let half = |values: &[f32]| Tensor::from_slice(values).to_kind(Kind::Half);
        let steps = |n: i64| Tensor::from_slice(&[n]);
        let a = stored(folder.path(), "a", &[("w", half(&[1., 2.])), ("steps", steps(5))]);
        let b = stored(folder.path(), "b", &[("w", half(&[3., -2.])), ("steps", steps(9))]);
        let c = stored(folder.path(), "c", &[("w", half(&[5., 6.])), ("steps", steps(9))]);
        let mean = mean(&[a, b, c]).unwrap();
        assert_eq!((mean["w"].kind(), mean.len()), (Kind::Half, 2));
        assert!(mean["w"] == half(&[3., 2.]) && mean["steps"] == steps(5));
    }

    #[test]
    fn networks_of_different_forms_have_no_mean() {
        let folder = tempfile::tempdir().unwrap();
        let ones = |n: i64| Tensor::ones([n], (Kind::Float, tch::Device::Cpu));
        let a = stored(folder.path(), "a", &[("w", ones(2))]);
        for (name, tensors, word) in [
            ("shape", vec![("w", ones(3))], "[3]"),
            ("extra", vec![("w", ones(2)), ("v", ones(2))], "'v'"),
            ("missing", vec![], "missing"),
            ("nan", vec![("w", ones(2) * f64::NAN)], "NaN"),
        ] {
            let path = stored(folder.path(), name, &tensors);
            let message = mean(&[a.clone(), path]).unwrap_err().to_string();
            assert!(message.contains(word) && message.contains(name), "{message}");
        }
    }
}
