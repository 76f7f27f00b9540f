use proptest::prelude::*;

use super::*;

fn counted(scores: &[f32], positive: &[bool]) -> Histogram {
    let mut histogram = Histogram::default();
    histogram.add(scores, positive).unwrap();
    histogram
}

/// Scores of which many fall into one bin: 1 and a little, next to 0, negative, infinite.
fn pixels() -> impl Strategy<Value = (Vec<f32>, Vec<bool>)> {
    let score = prop_oneof![
        (0u32..40).prop_map(|step| 1. + step as f32 * 2e-4),
        (0i32..40).prop_map(|power| 2f32.powi(-power)),
        -50f32..50.,
        Just(f32::INFINITY),
        Just(f32::NEG_INFINITY),
        Just(-0.),
    ];
    prop::collection::vec((score, prop::bool::weighted(0.4)), 0..200).prop_map(|v| v.into_iter().unzip())
}

fn triples(bounded: &Bounded, exact: &TwoSided) -> Vec<[Option<f64>; 4]> {
    let of = |side: fn(&TwoSided) -> Figures| {
        let [exact, value] = [exact, &bounded.value].map(|f| side(f).values());
        let [least, most] = [&bounded.least, &bounded.most].map(|f| side(f).values());
        (0..4).map(move |i| [exact[i], value[i], least[i], most[i]]).collect::<Vec<_>>()
    };
    [of(|s| s.positive), of(|s| s.negative)].concat()
}

proptest! {
    #[test]
    fn the_exact_figures_lie_within_the_bounds((scores, positive) in pixels()) {
        let exact = TwoSided::of(&Ranking::new(&scores, &positive).unwrap());
        let bounded = counted(&scores, &positive).figures();
        for [exact, value, least, most] in triples(&bounded, &exact) {
            prop_assert_eq!(exact.is_some(), value.is_some());
            prop_assert_eq!(exact.is_some(), least.is_some() && most.is_some());
            if let (Some(exact), Some(value), Some(least), Some(most)) = (exact, value, least, most) {
                prop_assert!((least - 1e-12..=most + 1e-12).contains(&exact), "{} not in {}..{}", exact, least, most);
                prop_assert!((exact - value).abs() <= bounded.error() + 1e-12);
            }
        }
    }

    #[test]
    fn counts_add_up((scores, positive) in pixels(), cut in 0f64..1.) {
        let cut = (scores.len() as f64 * cut) as usize;
        let mut merged = counted(&scores[cut..], &positive[cut..]);
        merged.merge(&counted(&scores[..cut], &positive[..cut]));
        prop_assert!(merged == counted(&scores, &positive));
    }

    #[test]
    fn a_threshold_holds_its_promise((scores, positive) in pixels(), above in 0f64..1.) {
        let threshold = counted(&scores, &positive).threshold(above);
        let negatives: Vec<f32> = scores.iter().zip(&positive).filter(|(_, p)| !**p).map(|(s, _)| *s).collect();
        let reached = negatives.iter().filter(|&&score| score >= threshold && threshold < f32::INFINITY).count();
        prop_assert!(reached as f64 <= above * negatives.len() as f64);
    }

    #[test]
    fn bins_are_in_the_order_of_scores(a in -1e9f32..1e9, b in -1e9f32..1e9) {
        prop_assert!((a <= b) == (bin(a) <= bin(b)) || bin(a) == bin(b));
        prop_assert!(edge(bin(a)) <= a && a < edge(bin(a) + 1));
    }
}

#[test]
fn scores_a_bin_apart_are_as_good_as_exact() {
    let (scores, positive) = ([0.9, 0.8, 0.4, 0.35, 1e-7, 2e-7], [true, false, true, false, false, true]);
    let bounded = counted(&scores, &positive).figures();
    let exact = TwoSided::of(&Ranking::new(&scores, &positive).unwrap());
    assert_eq!(bounded.value, exact);
    assert_eq!(bounded.least.positive.auroc, exact.positive.auroc);
    assert_eq!(bounded.most.positive.auroc, exact.positive.auroc);
}

#[test]
fn scores_of_one_bin_leave_everything_open() {
    let bounded = counted(&[1., 1.0001], &[true, false]).figures();
    assert_eq!(bounded.value.positive.auroc, Some(0.5));
    assert_eq!((bounded.least.positive.auroc, bounded.most.positive.auroc), (Some(0.), Some(1.)));
    assert_eq!(bounded.error(), 1.);
}

#[test]
fn nan_is_named_and_nothing_counted() {
    let mut histogram = Histogram::default();
    let error = histogram.add(&[0.5, f32::NAN], &[true, false]).unwrap_err();
    assert_eq!(error.to_string(), "score 1 is NaN");
    assert!(histogram == Histogram::default());
}
