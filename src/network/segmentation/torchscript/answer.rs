//! What came back from somebody's network, held to what M has to give: why it does not fit, as a phrase that names
//! shape and type and what would be right.

use tch::{IValue, Kind, Tensor};

use super::{Gives, Place};
use crate::quote::quoted;

/// A shape as people write it.
pub(super) fn by(shape: &[i64]) -> String {
    match shape {
        [] => "a number".into(),
        shape => shape.iter().map(i64::to_string).collect::<Vec<_>>().join(" x "),
    }
}

fn type_of(tensor: &Tensor) -> String {
    format!("{:?}", tensor.kind()).to_lowercase()
}

/// Whether every number of it is whole, as ids are.
fn is_whole(tensor: &Tensor) -> bool {
    let whole = || tensor.round().eq_tensor(tensor).all().int64_value(&[]) != 0;
    !tensor.is_floating_point() || whole()
}

/// Why `logits`, as the network gave them for one image, are no map of `classes` classes.
pub(super) fn misfit(logits: &Tensor, classes: i64) -> Option<String> {
    let shape = logits.size();
    let what = match shape[..] {
        [1, found, _, _] if found == classes && logits.is_floating_point() => return None,
        [1, found, _, _] if found == classes => {
            "whole numbers; floats are needed: logits, or their softmax".to_owned()
        }
        [1, 1, _, _] | [1, _, _] | [_, _] if is_whole(logits) => format!(
            "class ids, one a pixel; 1 x {classes} x h x w is needed, logits or probabilities of each class: export \
             the network without its argmax, or have its labels judged (segmentation: topic, --predictions)"
        ),
        [1, _, _, last] if last == classes => {
            format!("classes last; 1 x {classes} x h x w is needed: permute(0, 3, 1, 2) before the export")
        }
        [first, _, _] if first == classes => {
            format!("a map without a batch; 1 x {classes} x h x w is needed: unsqueeze(0) before the export")
        }
        [1, found, _, _] => format!(
            "{found} {}; 1 x {classes} x h x w is needed, as the label set has {classes} classes: give one with the \
             network's classes, in the network's order (labels.yaml)",
            if found == 1 { "class" } else { "classes" }
        ),
        [1, _, _] | [_, _] => {
            format!("a map without classes; 1 x {classes} x h x w is needed, a number for each class")
        }
        _ => format!("no map of pixels; 1 x {classes} x h x w is needed"),
    };
    Some(format!("are {} of {}: {what}", by(&shape), type_of(logits)))
}

/// Whether `tensor`, `N x classes x h x w`, has each class between 0 and 1 by itself, as after a sigmoid.
pub(super) fn is_sigmoid(tensor: &Tensor) -> bool {
    let (least, most) = (tensor.min().double_value(&[]), tensor.max().double_value(&[]));
    least >= 0. && most <= 1. && Gives::of(tensor) == Gives::Logits
}

/// The tensor at `place` of a network's output; else what the output is, and where in it the logits seem to be.
pub(super) fn find(output: &IValue, place: Option<&Place>, classes: i64) -> Result<Tensor, String> {
    let items: Vec<(Place, Option<&Tensor>)> = match output {
        IValue::Tensor(tensor) if place.is_none() => return Ok(tensor.shallow_clone()),
        IValue::Tensor(tensor) => return Err(format!("is one tensor ({})", by(&tensor.size()))),
        IValue::Tuple(items) | IValue::GenericList(items) => {
            items.iter().enumerate().map(|(i, item)| (Place::Index(i), as_tensor(item))).collect()
        }
        IValue::TensorList(items) => {
            items.iter().enumerate().map(|(i, item)| (Place::Index(i), Some(item))).collect()
        }
        IValue::GenericDict(entries) => (entries.iter())
            .filter_map(|(key, value)| match key {
                IValue::String(key) => Some((Place::Key(key.clone()), as_tensor(value))),
                _ => None,
            })
            .collect(),
        other => {
            return Err(format!(
                "is {}; a tensor, a tuple, a list or a dictionary of them is needed",
                kind(other)
            ));
        }
    };
    let there = items.iter().find(|(other, _)| Some(other) == place).and_then(|(_, tensor)| *tensor);
    there.map(Tensor::shallow_clone).ok_or_else(|| described(output, &items, classes))
}

fn described(output: &IValue, items: &[(Place, Option<&Tensor>)], classes: i64) -> String {
    const MOST: usize = 12;
    let shape = |tensor: &Option<&Tensor>| tensor.map_or("no tensor".into(), |tensor| by(&tensor.size()));
    let mut listed: Vec<String> =
        items.iter().take(MOST).map(|(at, t)| format!("{at} ({})", shape(t))).collect();
    if items.len() > MOST {
        listed.push(format!("{} more", items.len() - MOST));
    }
    let fits = |t: &Option<&Tensor>| t.is_some_and(|t| misfit(t, classes).is_none());
    let said = match items.iter().find(|(_, tensor)| fits(tensor)) {
        Some((at, _)) => format!("; those of {classes} classes are 'logits: {}'", at.in_yaml()),
        None => format!("; none of them is 1 x {classes} x h x w"),
    };
    format!("is {} of {}{said}", kind(output), listed.join(", "))
}

fn kind(output: &IValue) -> &'static str {
    match output {
        IValue::Tuple(_) => "a tuple",
        IValue::GenericList(_) | IValue::TensorList(_) => "a list",
        IValue::GenericDict(_) => "a dictionary",
        IValue::None => "nothing",
        _ => "a plain value",
    }
}

fn as_tensor(value: &IValue) -> Option<&Tensor> {
    if let IValue::Tensor(tensor) = value { Some(tensor) } else { None }
}

impl Place {
    fn in_yaml(&self) -> String {
        match self {
            Self::Index(index) => index.to_string(),
            Self::Key(key) => key.clone(),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Index(index) => write!(f, "{index}"),
            Self::Key(key) => f.write_str(&quoted(key)),
        }
    }
}

/// By how much probabilities computed in precision `kind` may miss a sum of 1.
pub(super) fn rounding(kind: Kind) -> f64 {
    match kind {
        Kind::Half | Kind::BFloat16 => 2e-2,
        _ => 1e-3,
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn map(shape: &[i64], kind: Kind) -> Tensor {
        (Tensor::arange(shape.iter().product::<i64>(), (Kind::Float, Device::Cpu)) * 0.25)
            .reshape(shape)
            .to_kind(kind)
    }

    #[test]
    fn what_is_no_map_of_the_classes_is_told_with_its_shape_its_type_and_what_would_be_right() {
        assert_eq!(misfit(&map(&[1, 3, 2, 2], Kind::Half), 3), None);
        for (shape, kind, expected) in [
            (
                &[1, 4, 6][..],
                Kind::Int64,
                "are 1 x 4 x 6 of int64: class ids, one a pixel; 1 x 3 x h x w is needed",
            ),
            (&[1, 1, 4, 6], Kind::Uint8, "are 1 x 1 x 4 x 6 of uint8: class ids"),
            (&[4, 6], Kind::Int, "are 4 x 6 of int: class ids"),
            (&[1, 4, 6], Kind::Float, "are 1 x 4 x 6 of float: a map without classes"),
            (&[1, 3, 4, 6], Kind::Int64, "are 1 x 3 x 4 x 6 of int64: whole numbers; floats are needed"),
            (&[1, 4, 6, 3], Kind::Float, "are 1 x 4 x 6 x 3 of float: classes last"),
            (&[3, 4, 6], Kind::Float, "are 3 x 4 x 6 of float: a map without a batch"),
            (
                &[1, 7, 4, 6],
                Kind::Float,
                "are 1 x 7 x 4 x 6 of float: 7 classes; 1 x 3 x h x w is needed, as the",
            ),
            (&[1, 1, 4, 6], Kind::Float, "are 1 x 1 x 4 x 6 of float: 1 class; "),
            (&[5], Kind::Float, "are 5 of float: no map of pixels"),
        ] {
            let told = misfit(&map(shape, kind), 3).unwrap_or_default();
            assert!(told.starts_with(expected), "{told}");
        }
        let ids = map(&[1, 4, 6], Kind::Float).floor();
        assert!(misfit(&ids, 3).unwrap_or_default().contains("class ids"));
    }

    #[test]
    fn a_sigmoid_is_told_from_a_softmax_and_from_logits() {
        let logits = map(&[1, 3, 2, 2], Kind::Float) - 1.;
        assert!(!is_sigmoid(&logits) && !is_sigmoid(&logits.softmax(1, Kind::Float)));
        assert!(is_sigmoid(&logits.sigmoid()));
    }

    #[test]
    fn the_softmax_of_a_network_in_half_precision_is_one() {
        let logits = (map(&[1, 19, 8, 8], Kind::Float) * 0.7).sin() * 3.;
        for kind in [Kind::Half, Kind::BFloat16] {
            assert_eq!(Gives::of(&logits.to_kind(kind).softmax(1, kind)), Gives::Probabilities, "{kind:?}");
        }
        assert_eq!(Gives::of(&logits.softmax(1, Kind::Float)), Gives::Probabilities);
        assert_eq!(Gives::of(&logits), Gives::Logits);
    }

    #[test]
    fn where_the_logits_seem_to_be_is_said() {
        let (out, aux) = (map(&[1, 3, 2, 2], Kind::Float), map(&[1, 8, 2, 2], Kind::Float));
        let both =
            || IValue::Tuple(vec![IValue::Tensor(aux.shallow_clone()), IValue::Tensor(out.shallow_clone())]);
        let told = find(&both(), None, 3).unwrap_err();
        assert_eq!(
            told,
            "is a tuple of 0 (1 x 8 x 2 x 2), 1 (1 x 3 x 2 x 2); those of 3 classes are 'logits: 1'"
        );
        assert_eq!(find(&both(), Some(&Place::Index(1)), 3).unwrap(), out);
        let told = find(&both(), Some(&Place::Index(2)), 4).unwrap_err();
        assert!(told.ends_with("; none of them is 1 x 4 x h x w"), "{told}");
    }
}
