use proptest::prelude::*;

use super::*;

fn ranking(pairs: &[(f32, u8)]) -> Ranking {
    let (scores, positive): (Vec<f32>, Vec<bool>) =
        pairs.iter().map(|&(score, truth)| (score, truth == 1)).unzip();
    Ranking::new(&scores, &positive).unwrap()
}

fn close(value: Option<f64>, expected: f64) {
    assert!(value.is_some_and(|value| (value - expected).abs() < 1e-12), "{value:?} is not {expected}");
}

#[test]
fn the_example_of_scikit_learn() {
    // roc_auc_score and average_precision_score of [0, 0, 1, 1] by [0.1, 0.4, 0.35, 0.8].
    let ranking = ranking(&[(0.1, 0), (0.4, 0), (0.35, 1), (0.8, 1)]);
    close(ranking.auroc(), 0.75);
    close(ranking.average_precision(), 0.5 * 1.0 + 0.5 * 2.0 / 3.0);
    close(ranking.fpr_at_recall(RECALL), 0.5);
    assert_eq!((ranking.positives(), ranking.negatives()), (2, 2));
}

#[test]
fn ties_count_half_and_fall_together() {
    let ranking = ranking(&[(0.9, 1), (0.5, 1), (0.5, 0), (0.5, 0), (0.1, 0)]);
    // Pairs won: 3 by the first positive; 1 won and 2 tied by the second.
    close(ranking.auroc(), (3.0 + 1.0 + 2.0 * 0.5) / 6.0);
    close(ranking.average_precision(), 0.5 + 0.5 * 2.0 / 4.0);
    close(ranking.fpr_at_recall(RECALL), 2.0 / 3.0);
}

#[test]
fn one_score_for_all_is_chance() {
    let ranking = ranking(&[(0.3, 1), (0.3, 0), (0.3, 0), (0.3, 0)]);
    close(ranking.auroc(), 0.5);
    close(ranking.average_precision(), 0.25);
    close(ranking.fpr_at_recall(RECALL), 1.0);
}

#[test]
fn first_and_nearest_recall_differ() {
    // Recall is 0.9375 after 15 of 16 positives; the last is tied with a negative.
    let mut pairs: Vec<(f32, u8)> = (0..15).map(|i| (100.0 - i as f32, 1)).collect();
    pairs.extend([(40.0, 1), (40.0, 0), (30.0, 0)]);
    let ranking = ranking(&pairs);
    close(ranking.fpr_at_recall(RECALL), 0.5);
    close(ranking.fpr_at_nearest_recall(RECALL), 0.0);
    close(ranking.fpr_at_recall(0.5), 0.0);
    close(ranking.fpr_at_recall(1.0), 0.5);
    assert_eq!(ranking.fpr_at_recall(1.1), None);
}

#[test]
fn without_positives_or_negatives_the_definitions_say() {
    let none = ranking(&[]);
    let negative = ranking(&[(0.1, 0), (0.2, 0)]);
    let positive = ranking(&[(0.1, 1), (0.2, 1)]);
    for ranking in [&none, &negative] {
        assert_eq!((ranking.auroc(), ranking.average_precision()), (None, None));
    }
    assert_eq!(positive.auroc(), None);
    close(positive.average_precision(), 1.0);
    for ranking in [&none, &negative, &positive] {
        assert_eq!(ranking.fpr_at_recall(RECALL), None);
        assert_eq!(ranking.fpr_at_nearest_recall(RECALL), None);
    }
}

#[test]
fn wrong_input_is_named() {
    let error = Ranking::new(&[0.0, f32::NAN, f32::NAN], &[true; 3]).unwrap_err();
    assert_eq!(error.to_string(), "score 1 is NaN");
    let error = Ranking::new(&[0.0], &[]).unwrap_err();
    assert_eq!(error.to_string(), "1 scores and truths against 0; both must be equally many");
}

#[test]
fn zeros_are_equal_and_infinities_in_order() {
    close(ranking(&[(0.0, 1), (-0.0, 0)]).auroc(), 0.5);
    let far = ranking(&[(f32::INFINITY, 1), (f32::MAX, 0), (f32::MIN, 1), (f32::NEG_INFINITY, 0)]);
    close(far.auroc(), 0.75);
}

#[test]
fn successes_are_what_errors_are_not() {
    // Wanted low: two negatives at 0.1 and 0.4; between them a positive at 0.35.
    let ranking = ranking(&[(0.1, 0), (0.4, 0), (0.35, 1), (0.8, 1)]).reversed();
    assert_eq!((ranking.positives(), ranking.negatives()), (2, 2));
    close(ranking.average_precision(), 0.5 * 1.0 + 0.5 * 2.0 / 3.0);
    close(ranking.fpr_at_recall(RECALL), 0.5);
}

#[test]
fn doubles_that_a_single_cannot_tell_apart_are_told_apart() {
    let close_by = 0.5 + f64::from(f32::EPSILON) / 8.0;
    close(Ranking::new(&[close_by, 0.5], &[true, false]).unwrap().auroc(), 1.0);
    close(Ranking::new(&[-close_by, -0.5, -0.0, 0.0], &[true, false, true, false]).unwrap().auroc(), 0.375);
}

#[test]
fn curves_are_thinned_but_end_where_they_must() {
    let pairs: Vec<(f32, u8)> = (0..5000).map(|i| (i as f32, u8::from(i % 3 == 0))).collect();
    let curve = ranking(&pairs).curve(100);
    assert!((90..=110).contains(&curve.len()), "{}", curve.len());
    let last = curve.last().unwrap();
    assert_eq!((last.recall, last.fpr), (1.0, 1.0));
    assert!(curve.is_sorted_by(|a, b| a.recall <= b.recall && a.fpr <= b.fpr));
    assert!(ranking(&[(0.1, 1)]).curve(100).is_empty());
}

fn pairs() -> impl Strategy<Value = Vec<(f32, u8)>> {
    // Few distinct scores make many ties.
    let score = prop_oneof![(-8i8..8).prop_map(f32::from), -1e6f32..1e6];
    prop::collection::vec((score, 0u8..2), 0..120)
}

/// Every pair of a positive and a negative, compared.
fn auroc_by_pairs(pairs: &[(f32, u8)]) -> Option<f64> {
    let (mut won, mut all) = (0.0, 0.0);
    for (positive, _) in pairs.iter().filter(|(_, truth)| *truth == 1) {
        for (negative, _) in pairs.iter().filter(|(_, truth)| *truth == 0) {
            all += 1.0;
            won += if positive > negative {
                1.0
            } else if positive == negative {
                0.5
            } else {
                0.0
            };
        }
    }
    (all > 0.0).then(|| won / all)
}

/// The definition over every distinct threshold, counted anew each time.
fn precision_by_thresholds(pairs: &[(f32, u8)]) -> Option<f64> {
    let mut thresholds: Vec<f32> = pairs.iter().map(|(score, _)| *score).collect();
    thresholds.sort_by(|a, b| b.total_cmp(a));
    thresholds.dedup();
    let positives = pairs.iter().filter(|(_, truth)| *truth == 1).count() as f64;
    let (mut sum, mut recall) = (0.0, 0.0);
    for threshold in thresholds {
        let above: Vec<u8> =
            pairs.iter().filter(|(score, _)| *score >= threshold).map(|(_, truth)| *truth).collect();
        let found = above.iter().filter(|truth| **truth == 1).count() as f64;
        sum += (found / positives - recall) * found / above.len() as f64;
        recall = found / positives;
    }
    (positives > 0.0).then_some(sum)
}

fn nearly(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-9,
        (a, b) => a == b,
    }
}

fn mapped(pairs: &[(f32, u8)], change: impl Fn(f32, u8) -> (f32, u8)) -> Ranking {
    ranking(&pairs.iter().map(|&(score, truth)| change(score, truth)).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn agrees_with_the_slow_definitions(pairs in pairs()) {
        let ranking = ranking(&pairs);
        prop_assert!(nearly(ranking.auroc(), auroc_by_pairs(&pairs)));
        prop_assert!(nearly(ranking.average_precision(), precision_by_thresholds(&pairs)));
    }

    #[test]
    fn turning_scores_or_truths_round_turns_auroc_round(pairs in pairs()) {
        let auroc = ranking(&pairs).auroc().map(|auroc| 1.0 - auroc);
        prop_assert!(nearly(mapped(&pairs, |score, truth| (-score, truth)).auroc(), auroc));
        prop_assert!(nearly(mapped(&pairs, |score, truth| (score, 1 - truth)).auroc(), auroc));
    }

    #[test]
    fn reversed_is_the_ranking_of_the_negated(pairs in pairs()) {
        let negated = mapped(&pairs, |score, truth| (-score, 1 - truth));
        prop_assert_eq!(ranking(&pairs).reversed().steps, negated.steps);
    }

    #[test]
    fn either_width_ranks_alike(pairs in pairs()) {
        let (scores, positive): (Vec<f64>, Vec<bool>) =
            pairs.iter().map(|&(score, truth)| (f64::from(score), truth == 1)).unzip();
        prop_assert_eq!(ranking(&pairs).steps, Ranking::new(&scores, &positive).unwrap().steps);
    }

    #[test]
    fn only_the_order_counts(pairs in pairs()) {
        // Scaling by a power of two keeps every order and every tie.
        let (before, after) = (ranking(&pairs), mapped(&pairs, |score, truth| (4.0 * score, truth)));
        prop_assert_eq!(before.steps, after.steps);
    }

    #[test]
    fn within_bounds(pairs in pairs(), recall in 0.0f64..1.0) {
        let ranking = ranking(&pairs);
        let first = ranking.fpr_at_recall(recall);
        let values = [ranking.auroc(), ranking.average_precision(), first, ranking.fpr_at_nearest_recall(recall)];
        prop_assert!(values.into_iter().flatten().all(|value| (0.0..=1.0 + 1e-12).contains(&value)));
        if let (Some(less), Some(more)) = (first, ranking.fpr_at_recall(1.0)) {
            prop_assert!(less <= more);
        }
    }
}
