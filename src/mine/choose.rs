//! Which frames to label next: those that teach most, no two of which teach the same.

use std::cmp::Ordering;

/// A frame that could be labelled.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its name, for files.
    pub name: String,
    /// The drive that it is of.
    pub drive: String,
    /// When it was taken, or which of its drive it is.
    pub time: f64,
    /// What speaks for it, each higher where there is more to learn: failure, unknown things, disagreement.
    pub evidence: [f32; 3],
    /// M's features, averaged over the image.
    pub features: Vec<f32>,
}

impl Candidate {
    fn is_near(&self, other: &Self, gap: f64) -> bool {
        self.drive == other.drive && (self.time - other.time).abs() < gap
    }
}

/// How much each has to teach, in \[0, 1\]: the mean of its ranks among the others by each kind of evidence. Ranks do
/// not ask how far a score reaches, and a NaN ranks last.
pub fn lessons(candidates: &[Candidate]) -> Vec<f32> {
    let mut lessons = vec![0.; candidates.len()];
    for kind in 0..3 {
        let of = |i: usize| candidates[i].evidence[kind];
        let mut order: Vec<usize> = (0..candidates.len()).collect();
        order.sort_by(|&a, &b| match (of(a).is_nan(), of(b).is_nan()) {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            _ => of(a).total_cmp(&of(b)).then(b.cmp(&a)),
        });
        let last = candidates.len().saturating_sub(1).max(1) as f32;
        for (rank, i) in order.into_iter().enumerate() {
            lessons[i] += rank as f32 / last / 3.;
        }
    }
    lessons
}

/// Distance of two images in M's eyes: one less the cosine of their features, in \[0, 2\].
fn apart(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let length = (dot(a, a) * dot(b, b)).sqrt();
    if length > 0. { 1. - dot(a, b) / length } else { 0. }
}

/// At most `most` of the candidates, those with most to teach, whatever they look like; none is of the same drive as
/// a better one within `gap` of its time.
pub(super) fn best(candidates: &[Candidate], most: usize, gap: f64) -> Vec<usize> {
    let lessons = lessons(candidates);
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|&a, &b| lessons[b].total_cmp(&lessons[a]));
    let mut chosen: Vec<usize> = Vec::new();
    for i in order {
        if chosen.len() == most {
            break;
        }
        if !chosen.iter().any(|&other| candidates[i].is_near(&candidates[other], gap)) {
            chosen.push(i);
        }
    }
    chosen
}

/// At most `most` of the candidates, the best first. Each next one has most to teach times how far it is from all
/// before it, in M's features; none is of the same drive as one before within `gap` of its time. Of equal ones the
/// first is taken.
pub fn choose(candidates: &[Candidate], most: usize, gap: f64) -> Vec<usize> {
    let lessons = lessons(candidates);
    let mut nearest = vec![f32::INFINITY; candidates.len()];
    let mut free = vec![true; candidates.len()];
    let mut chosen = Vec::new();
    while chosen.len() < most {
        let worth = |i: usize| lessons[i] * if chosen.is_empty() { 1. } else { nearest[i] };
        let best = (0..candidates.len())
            .filter(|&i| free[i])
            .max_by(|&a, &b| worth(a).total_cmp(&worth(b)).then(b.cmp(&a)));
        let Some(best) = best else { break };
        chosen.push(best);
        let of = &candidates[best];
        for (i, other) in candidates.iter().enumerate() {
            nearest[i] = nearest[i].min(apart(&of.features, &other.features));
            free[i] &= i != best && !other.is_near(of, gap);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(drive: &str, time: f64, evidence: f32, angle: f32) -> Candidate {
        Candidate {
            name: format!("{drive}_{time}"),
            drive: drive.into(),
            time,
            evidence: [evidence; 3],
            features: vec![angle.to_radians().cos(), angle.to_radians().sin()],
        }
    }

    #[test]
    fn the_first_has_most_to_teach_and_the_next_is_unlike_it() {
        let candidates = [
            candidate("a", 0., 0.1, 80.),
            candidate("b", 0., 0.9, 0.),
            candidate("c", 0., 0.8, 2.),
            candidate("d", 0., 0.5, 60.),
        ];
        assert_eq!(choose(&candidates, 3, 1.), [1, 3, 2]);
        assert_eq!(choose(&candidates, 0, 1.), [0usize; 0]);
        assert_eq!(choose(&candidates, 9, 1.).len(), 4);
    }

    #[test]
    fn neighbours_of_one_drive_are_not_taken_twice() {
        let candidates = [
            candidate("a", 0., 0.9, 0.),
            candidate("a", 1., 0.8, 40.),
            candidate("a", 5., 0.7, 41.),
            candidate("b", 1., 0.6, 42.),
        ];
        assert_eq!(choose(&candidates, 4, 2.), [0, 2, 3]);
        assert_eq!(best(&candidates, 4, 2.), [0, 2, 3]);
        assert_eq!(best(&candidates, 1, 2.), [0]);
    }

    #[test]
    fn ranks_know_no_scale_and_nan_is_last() {
        let of = |evidence: [f32; 3]| Candidate { evidence, ..candidate("a", 0., 0., 0.) };
        let candidates = [of([1., 1000., 0.]), of([2., f32::NAN, 0.5]), of([3., 10., 0.2])];
        let lessons = lessons(&candidates);
        for (found, expected) in lessons.iter().zip([1. / 3., 0.5, 2. / 3.]) {
            assert!((found - expected).abs() < 1e-6, "{lessons:?}");
        }
    }
}
