//! The parametric bootstrap: seeded, near the posterior where trials are many, and an interval holds its threshold.

use super::observer::near;
use super::reader_study::Chance;
use epsiloscope::observer::{Block, Psychometric, Row, Setting, Task, bootstrap, fit, thresholds};

#[test]
fn the_bootstrap_is_seeded_and_near_the_posterior_where_trials_are_many() {
    let observer = Psychometric { alpha: 0.02, beta: 2.5, gamma: 0.5, lambda: 0.02 };
    let blocks: Vec<Block> = [0.004, 0.008, 0.012, 0.016, 0.024, 0.032, 0.064]
        .map(|epsilon| Block { epsilon, positive: (400.0 * observer.probability(epsilon)).round() as u32, total: 400 })
        .to_vec();
    let (task, range) = (Task::TwoAlternative, [0.002, 0.1]);
    let found = fit(&blocks, task, range).unwrap();
    let again = |seed| bootstrap(&found, &blocks, task, range, 200, seed);
    assert_eq!(again(1), again(1));
    assert_ne!(again(1), again(2));
    for (a, b) in again(1).into_iter().zip(found.threshold.interval) {
        assert!(near(a, b, 0.05), "{a} {b}");
    }
}

/// 80 observers of few trials, of a flat ψ and of one beyond the ε of the study: the median of a skewed posterior lies beyond an interval
/// around the most probable ψ now and then.
#[test]
fn a_bootstrapped_threshold_lies_within_its_interval() {
    let mut chance = Chance(17);
    let observers = [(4.0, 0.8), (30.0, 2.0)].map(|(level, beta)| Psychometric {
        alpha: level / 255.0,
        beta,
        gamma: 0.5,
        lambda: 0.02,
    });
    let row = |number: usize, epsilon: f64, correct: bool| Row {
        observer: format!("observer {number}"),
        image: "a".to_owned(),
        attack: "fgsm".to_owned(),
        setting: Setting::default(),
        task: Task::TwoAlternative,
        epsilon,
        epsilon_shown: None,
        positive: correct,
        catch: false,
        correct,
        too_soon: false,
        range: Some([0.1 / 255.0, 64.0 / 255.0]),
        seed: None,
    };
    let mut rows = Vec::new();
    for number in 0..80 {
        let observer = observers[number / 40];
        for epsilon in [1.0, 2.0, 4.0, 8.0, 16.0].map(|level| level / 255.0) {
            rows.extend((0..8).map(|_| row(number, epsilon, chance.next() < observer.probability(epsilon))));
        }
    }
    let mut beyond = 0;
    for found in thresholds(&rows, None).unwrap() {
        let median = found.fit.threshold.median;
        let again = found.clone().bootstrapped(100, 0);
        let [low, high] = again.fit.threshold.interval;
        assert!(low <= again.fit.threshold.median && again.fit.threshold.median <= high, "{again:?}");
        assert_eq!(again.fit.threshold.median, found.fit.mode.threshold().unwrap_or(f64::INFINITY));
        beyond += usize::from(median < low || median > high);
    }
    assert!(beyond > 4, "what is tested does happen: {beyond}");
}
