//! The fit of reader studies, by means of its own: observers simulated here, with a Weibull function and random numbers that the program does
//! not share, and trials placed by `questplus` and fitted by psignifit (`tests/fixtures/observer_trials.py`).

use crate::command_line::{program, text};
use crate::fixture;
use epsiloscope::observer::{
    Answer, Next, Plan, Procedure, Psychometric, Side, Simulation, Task, distinguishable, fit, read_csv,
    read_thresholds, simulate, thresholds, thresholds_csv,
};
use epsiloscope::view::Presentation;
use rayon::prelude::*;
use serde_json::Value;
use std::fs;

/// Observers that go through a study each; known to the percent, and quick.
const RUNS: u64 = 600;

/// Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014: SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (((z ^ (z >> 31)) >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    /// Of the normal distribution of deviation 1: Box & Muller, Annals of Mathematical Statistics 29, 1958.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.roll().ln()).sqrt() * (std::f64::consts::TAU * self.roll()).cos()
    }
}

/// An observer by what happens in a trial, not by a curve: the perturbation is noticed if it exceeds a limit that is drawn anew, Weibull
/// distributed; unnoticed it is guessed, and now and then the wrong key is hit.
struct Eye {
    /// Of the limits' distribution.
    scale: f64,
    shape: f64,
    /// How often "altered" is said to what was not noticed; in a forced choice the right one is hit half of the time.
    guess: f64,
    lapse: f64,
}

impl Eye {
    /// With a lapse the answer is wrong, whatever was seen; where nothing was noticed it is a guess all the same, so that
    /// the share of positive answers goes from `guess` to 1 − `lapse`.
    fn is_positive(&self, epsilon: f64, dice: &mut Dice) -> bool {
        let limit = self.scale * (-dice.roll().ln()).powf(1.0 / self.shape);
        let [slips, guesses] = [dice.roll() < self.lapse / (1.0 - self.guess), dice.roll() < self.guess];
        if epsilon > limit && !slips { true } else { guesses }
    }

    /// Where half of what guessing leaves is right, found by halving, not by a formula.
    fn threshold(&self) -> f64 {
        let share = |epsilon: f64| {
            let noticed = 1.0 - (-(epsilon / self.scale).powf(self.shape)).exp();
            let kept = 1.0 - self.lapse / (1.0 - self.guess);
            self.guess + (1.0 - self.guess) * noticed * kept
        };
        let (mut low, mut high) = (1e-9f64, 1.0f64);
        for _ in 0..200 {
            let middle = (low * high).sqrt();
            if share(middle) < (1.0 + self.guess) / 2.0 { low = middle } else { high = middle }
        }
        low
    }

    /// A whole study.
    fn estimate(&self, task: Task, trials: usize, seed: u64) -> (f64, [f64; 2]) {
        let mut dice = Dice(seed.wrapping_mul(0xD129_0D3B_9A51_77C5) ^ 0x5EED);
        study(task, trials, seed, &mut |epsilon, _| self.is_positive(epsilon, &mut dice))
    }
}

/// A whole study of who says by ε and number of the trial whether the answer is positive: threshold and interval.
fn study(task: Task, trials: usize, seed: u64, positive: &mut dyn FnMut(f64, usize) -> bool) -> (f64, [f64; 2]) {
    let condition = epsiloscope::observer::Condition { image: "i".to_owned(), attack: "a".to_owned() };
    let plan = Plan { practice: 0, break_every: 0, ..Plan::new(task, vec![condition], trials, seed ^ 0xABCD) };
    let range = plan.range;
    let mut study = Procedure::new(plan).unwrap();
    while let Next::Trial(trial) = study.next() {
        let positive = positive(trial.epsilon, trial.index);
        let answer = match (trial.side, positive) {
            (Some(Side::Left), true) | (Some(Side::Right), false) => Answer::Left,
            (Some(_), _) => Answer::Right,
            (None, true) => Answer::Altered,
            (None, false) => Answer::Unaltered,
        };
        study.answer(answer, 1.0).unwrap();
    }
    let found = fit(&study.blocks(0), task, range).unwrap().threshold;
    (found.median, found.interval)
}

/// The smallest and largest counts of `runs` that the share may give without being in doubt: beyond them a share of at least `least` and
/// at most `most` has a chance below ½ %.
fn bounds(runs: u64, least: f64, most: f64) -> [u64; 2] {
    let tail = |share: f64, counts: &mut dyn Iterator<Item = u64>| {
        let mut sum = 0.0;
        let mut choose = vec![0.0; runs as usize + 1];
        for k in 1..=runs as usize {
            choose[k] = choose[k - 1] + ((runs as usize - k + 1) as f64 / k as f64).ln();
        }
        for k in counts {
            sum += (choose[k as usize] + k as f64 * share.ln() + (runs - k) as f64 * (1.0 - share).ln()).exp();
            if sum > 0.005 {
                return k;
            }
        }
        runs
    };
    [tail(least, &mut (0..=runs)), tail(most, &mut (0..=runs).rev())]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The recorded setting: 150 trials of a forced choice, β 2, λ .02, threshold 4/255. README's table has the others.
#[test]
fn intervals_hold_the_threshold_as_often_as_they_say_and_not_more() {
    let mut eye = Eye { scale: 1.0, shape: 2.0, guess: 0.5, lapse: 0.02 };
    eye.scale = 4.0 / 255.0 / eye.threshold().min(1.0);
    let truth = eye.threshold();
    assert!((truth * 255.0 - 4.0).abs() < 1e-6, "{truth}");
    let found: Vec<(f64, [f64; 2])> =
        (0..RUNS).into_par_iter().map(|seed| eye.estimate(Task::TwoAlternative, 150, seed)).collect();
    // Intervals stretched about their estimate by a factor, on the logarithmic axis.
    let held = |stretch: f64| {
        let end = |estimate: f64, end: f64| estimate * (end / estimate).powf(stretch);
        found.iter().filter(|(e, [low, high])| end(*e, *low) <= truth && truth <= end(*e, *high)).count() as u64
    };
    let [fewest, most] = bounds(RUNS, 0.93, 0.97);
    let bias = median(found.iter().map(|f| f.0 / truth - 1.0).collect());
    let width = median(found.iter().map(|f| f.1[1] / f.1[0]).collect());
    println!(
        "{} of {RUNS} held ({fewest} to {most} may be); median bias {bias:+.4}, median width {width:.3}",
        held(1.0)
    );
    assert!((fewest..=most).contains(&held(1.0)), "{} of {RUNS}", held(1.0));
    // The bounds tell intervals that are a third too narrow, or half too wide, from right ones.
    assert!(held(0.67) < fewest, "{} of {RUNS}", held(0.67));
    assert!(held(1.5) > most, "{} of {RUNS}", held(1.5));
    assert!(bias.abs() < 0.05, "{bias}");
    assert!((1.9..2.3).contains(&width), "{width}");
}

/// The smallest change that 8 bits show is the observer's threshold: half of ψ lies where there is no picture. The range that is believed in
/// is that of the pictures; with the one that was asked for, from a tenth of a level on, the intervals were 3.1 wide and the bias −5 %.
#[test]
fn a_threshold_at_the_smallest_picture_is_found_from_the_pictures_there_are() {
    const RUNS: usize = 200;
    let observer =
        Psychometric { alpha: 1.0, beta: 2.0, gamma: 0.5, lambda: 0.02 }.with_threshold(1.0 / 255.0).unwrap();
    let plan = Plan { practice: 0, break_every: 0, ..Plan::new(Task::TwoAlternative, Vec::new(), 150, 5) };
    let image: Vec<f32> = (64..192).map(|level| level as f32 / 255.0).collect();
    let levels = distinguishable(&image, plan.range, plan.steps, &Presentation::default());
    let plan = plan.with_levels(&levels);
    let [smallest, largest] = plan.shown_range().map(|e| e * 255.0);
    assert!((smallest - 1.0).abs() < 1e-3 && (largest - 64.0).abs() < 0.1, "{smallest} to {largest}");
    let found = simulate(&Simulation { observer, plan, runs: RUNS, resamples: 0 }, || ()).unwrap();
    println!("{found:?}");
    // Three standard deviations below 95 %.
    assert!(found.share() > 0.95 - 3.0 * (0.95 * 0.05 / RUNS as f64).sqrt(), "{found:?}");
    assert!(found.median_bias.abs() < 0.08, "{found:?}");
    assert!((1.9..2.7).contains(&found.median_width), "{found:?}");
}

/// Whether the answer is positive, by ε and number of the trial.
type Observer<'a> = &'a (dyn Fn(f64, usize, &mut Dice) -> bool + Sync);

/// Observers that are not what the fit believes in: an observer of signal detection theory, ψ = Φ(d′/√2) with d′ = (ε/scale)^1.5, and
/// one who tires, whose lapses rise from none to one in ten. The true threshold is where ψ (of the tired one with its mean rate) is ¾.
#[test]
fn intervals_of_observers_that_are_no_weibull_function() {
    const TRIALS: usize = 150;
    let threshold = 4.0 / 255.0;
    let detector = |epsilon: f64, _: usize, dice: &mut Dice| {
        // d′ is .9539 where ¾ are right (Macmillan & Creelman, Detection Theory, 2005, table A5.2).
        let d_prime = (epsilon / threshold).powf(1.5) * 0.9539;
        d_prime + dice.normal() > dice.normal()
    };
    let mut eye = Eye { scale: 1.0, shape: 2.0, guess: 0.5, lapse: 0.05 };
    eye.scale = threshold / eye.threshold();
    let tires = |epsilon: f64, trial: usize, dice: &mut Dice| {
        Eye { lapse: 0.1 * trial as f64 / TRIALS as f64, ..eye }.is_positive(epsilon, dice)
    };
    let observers: [(&str, Observer<'_>); 2] = [("signal detection", &detector), ("tiring", &tires)];
    for (name, observer) in observers {
        let found: Vec<(f64, [f64; 2])> = (0..RUNS)
            .into_par_iter()
            .map(|seed| {
                let mut dice = Dice(seed.wrapping_mul(0xA076_1D64_78BD_642F) ^ 0xFEED);
                study(Task::TwoAlternative, TRIALS, seed, &mut |epsilon, trial| observer(epsilon, trial, &mut dice))
            })
            .collect();
        let held = found.iter().filter(|(_, [low, high])| *low <= threshold && threshold <= *high).count() as u64;
        let bias = median(found.iter().map(|f| f.0 / threshold - 1.0).collect());
        let width = median(found.iter().map(|f| f.1[1] / f.1[0]).collect());
        println!("{name}: {held} of {RUNS} held, median bias {bias:+.4}, median width {width:.3}");
        let [fewest, _] = bounds(RUNS, 0.92, 0.99);
        assert!(held >= fewest, "{name}: {held} of {RUNS}, at least {fewest} should");
        assert!(bias.abs() < 0.08, "{name}: {bias}");
    }
}

/// In yes/no caution moves the answers and must not move the threshold.
#[test]
fn a_cautious_observer_has_the_threshold_of_a_rash_one() {
    let scale = 6.0 / 255.0;
    let estimates = [0.02, 0.3].map(|guess| {
        let eye = Eye { scale, shape: 2.0, guess, lapse: 0.0 };
        assert!((eye.threshold() / (scale * 2f64.ln().sqrt()) - 1.0).abs() < 1e-6);
        let all: Vec<f64> =
            (0..24u64).into_par_iter().map(|seed| eye.estimate(Task::YesNo, 100, seed).0 / eye.threshold()).collect();
        median(all)
    });
    println!("estimate over truth: false alarms 2 %: {:.3}, 30 %: {:.3}", estimates[0], estimates[1]);
    assert!(estimates.iter().all(|e| (e - 1.0).abs() < 0.12), "{estimates:?}");
}

#[test]
fn thresholds_of_recorded_trials_are_those_of_psignifit() {
    let table = fixture::path("observer-trials.csv");
    let reference: Value = serde_json::from_slice(&fs::read(fixture::path("observer-trials.json")).unwrap()).unwrap();
    let found = thresholds(&read_csv(&table).unwrap(), None).unwrap();
    assert_eq!(found.len(), reference.as_object().unwrap().len());
    for t in &found {
        let of = &reference[&t.observer];
        assert_eq!(u64::from(t.fit.trials), of["trials"].as_u64().unwrap());
        // Medians and ends to a hundredth of a decade or two (2 to 5 %): both are read off grids. 40 is psignifit's "never".
        for (name, estimate) in [("threshold", &t.fit.threshold), ("middle", &t.fit.middle)] {
            let values = [estimate.median, estimate.interval[0], estimate.interval[1]].map(f64::log10);
            for (value, expected) in values.into_iter().zip(of[name].as_array().unwrap()) {
                let expected = expected.as_f64().unwrap();
                println!("{}, {name}: {value:.4}, psignifit {expected:.4}", t.observer);
                let same = if expected > 39.0 { value.is_infinite() } else { (value - expected).abs() < 0.02 };
                assert!(same, "{} {name}: {value}, not {expected}", t.observer);
            }
        }
        let mode = t.fit.mode.threshold().unwrap().log10();
        let expected = of["map_threshold"].as_f64().unwrap();
        println!("{}, most probable: {mode:.4}, psignifit {expected:.4}", t.observer);
        assert!((mode - expected).abs() < 0.01, "{}: {mode} not {expected}", t.observer);
        // psignifit as it comes believes in ψ over three times the range: within this interval, not the same.
        let [low, high] = t.fit.threshold.interval.map(f64::log10);
        let plain = of["default_map_threshold"].as_f64().unwrap();
        assert!(low < plain && plain < high, "{}: {plain}", t.observer);
    }
    // A table of thresholds says the same as the trials.
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("thresholds.csv");
    fs::write(&written, thresholds_csv(&found).unwrap()).unwrap();
    assert_eq!(read_thresholds(&written).unwrap(), read_thresholds(&table).unwrap());
}

#[test]
fn a_threshold_below_the_smallest_picture_is_said_to_be_no_measured_one() {
    let folder = tempfile::tempdir().unwrap();
    let of = |share: [u32; 3], name: &str| {
        let levels = [1.0, 2.0, 8.0].map(|level| level / 255.0);
        let line = |e: f64, right: bool| format!("{name},a,fgsm,{e},{},{},{}\n", u8::from(right), levels[0], levels[2]);
        let block = |(e, right): (f64, u32)| (0..40).map(move |i| line(e, i < right)).collect::<String>();
        levels.into_iter().zip(share).map(block).collect::<String>()
    };
    let table = "observer,image,attack,epsilon,correct,epsilon_min,epsilon_max\n".to_owned()
        + &of([38, 39, 40], "Ada")
        + &of([21, 30, 40], "Ben");
    fs::write(folder.path().join("t.csv"), table).unwrap();
    let output = program(folder.path()).args(["observer", "fit", "t.csv", "--out", "found"]).output().unwrap();
    let said = text(&output.stdout);
    let below: Vec<&str> =
        said.lines().filter(|line| line.contains("below the smallest ε that was shown, 1/255")).collect();
    assert!(below.len() == 1 && below[0].starts_with("Ada, a, fgsm"), "{said}");
    let read = |name: &str| fs::read_to_string(folder.path().join("found").join(name)).unwrap();
    let report = read("report.html");
    assert!(
        report.contains(below[0]) && !report.contains("Ben, a, fgsm: the threshold lies below"),
        "the same sentence"
    );
    let figures = ["psychometric-01.svg", "psychometric-02.svg"].map(|name| read(name).contains("below every ε"));
    assert_eq!(figures, [true, false]);
}

#[test]
fn answers_that_came_too_soon_are_told_and_can_be_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = "observer,image,attack,epsilon,correct,too_soon\n".to_owned();
    for (level, right) in [(1, 21), (2, 30), (8, 40)] {
        let line = |i: u32| format!("Ada,a,fgsm,{},{},0\n", f64::from(level) / 255.0, u8::from(i < right));
        table.extend((0..40).map(line));
    }
    let careful = table.clone();
    // Clicked without looking.
    table.extend((0..20).map(|_| format!("Ada,a,fgsm,{},0,1\n", 8.0 / 255.0)));
    fs::write(folder.path().join("all.csv"), table).unwrap();
    fs::write(folder.path().join("careful.csv"), careful).unwrap();
    let fit = |arguments: &[&str]| {
        let output = program(folder.path()).args(["observer", "fit"]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let row = |said: &str| said.lines().find(|line| line.starts_with("Ada")).unwrap().to_owned();
    let told = "too soon: 20 of 140 answers came within 150 ms";
    let all = fit(&["all.csv"]);
    assert!(all.contains(told) && all.contains("Ada, a, fgsm: 20 of 140") && all.contains("they count"), "{all}");
    let careful = fit(&["careful.csv"]);
    assert!(!careful.contains("too soon"), "{careful}");
    let left = fit(&["all.csv", "--leave-out-too-soon", "--out", "left"]);
    assert!(left.contains(told) && left.contains("they are left out"), "{left}");
    assert_eq!(row(&left), row(&careful), "the same as if they had not been given");
    assert_ne!(row(&all), row(&careful));
    let report = fs::read_to_string(folder.path().join("left/report.html")).unwrap();
    assert!(report.contains(told) && report.contains("fit all.csv --leave-out-too-soon --out left"), "{report}");
    assert!(fit(&["careful.csv", "--leave-out-too-soon"]).contains("no answer is marked"));
}

/// The ends that a table names are of ±ε at every value; an attack that stays below its bound somewhere is shown as a little more or less.
#[test]
fn what_was_shown_lies_within_the_range_that_is_believed_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let line = |i: u32| {
        let (level, right) = ([0.3, 1.0, 2.036][i as usize % 3], u8::from(!i.is_multiple_of(3) || i.is_multiple_of(2)));
        format!("Ada,a,fgsm,{},{},{right},{},{}\n", 0.9 * level / 255.0, level / 255.0, 0.4 / 255.0, 2.0 / 255.0)
    };
    let header = "observer,image,attack,epsilon,epsilon_shown,correct,epsilon_min,epsilon_max\n".to_owned();
    fs::write(&path, header + &(0..60).map(line).collect::<String>()).unwrap();
    let rows = read_csv(&path).unwrap();
    assert_eq!(thresholds(&rows, None).unwrap()[0].range, [0.3 / 255.0, 2.036 / 255.0]);
    let typed = [0.1 / 255.0, 2.0 / 255.0];
    assert_eq!(thresholds(&rows, Some(typed)).unwrap()[0].range, typed, "a range that is typed overrules it");
}

#[test]
fn a_threshold_beyond_the_largest_epsilon_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str, share: [u32; 3]| {
        let block = |(level, right): (f64, u32)| (0..40).map(move |i| (level / 255.0, u8::from(i < right)));
        let rows = [4.0, 16.0, 64.0].into_iter().zip(share).flat_map(block);
        rows.map(|(e, right)| format!("{name},a,fgsm,{e},{right},{},{}\n", 1.0 / 255.0, 64.0 / 255.0))
            .collect::<String>()
    };
    let header = "observer,image,attack,epsilon,correct,epsilon_min,epsilon_max\n".to_owned();
    fs::write(folder.path().join("t.csv"), header + &of("Ada", [21, 36, 40]) + &of("Ben", [20, 21, 25])).unwrap();
    let fit = program(folder.path()).args(["observer", "fit", "t.csv", "--out", "found"]).output().unwrap();
    let said = text(&fit.stdout);
    let none: Vec<&str> = said.lines().filter(|line| line.contains("no threshold was reached")).collect();
    assert!(none.len() == 1 && none[0].starts_with("Ben, a, fgsm") && none[0].contains("64/255"), "{said}");
    let report = fs::read_to_string(folder.path().join("found/report.html")).unwrap();
    assert!(report.contains(none[0]) && !report.contains("Ada, a, fgsm: no threshold"), "the same sentence");
    let row = said.lines().find(|line| line.starts_with("Ben ")).unwrap();
    assert!(row.contains("none") && row.contains("to beyond 64/255"), "{said}");
    let figure =
        |number: u8| fs::read_to_string(folder.path().join(format!("found/psychometric-0{number}.svg"))).unwrap();
    assert!(!figure(1).contains("never reached") && figure(2).contains("never reached"));
    // The table says so too, and what it says counts, whatever the study's range.
    let written = folder.path().join("found/thresholds.csv");
    let text = fs::read_to_string(&written).unwrap();
    let at = text.lines().next().unwrap().split(',').position(|name| name == "reached").unwrap();
    assert_eq!(text.lines().skip(1).map(|row| row.split(',').nth(at).unwrap()).collect::<Vec<_>>(), ["1", "0"]);
    let reached = |path| read_thresholds(path).unwrap().iter().map(|t| t.is_reached()).collect::<Vec<_>>();
    assert_eq!(reached(&written), [true, false]);
    // Older tables have no such column.
    let mut older = csv::Writer::from_path(folder.path().join("older.csv")).unwrap();
    for record in csv::ReaderBuilder::new().has_headers(false).from_path(&written).unwrap().records() {
        let record = record.unwrap();
        older
            .write_record(record.iter().enumerate().filter(|(column, _)| *column != at).map(|(_, cell)| cell))
            .unwrap();
    }
    older.flush().unwrap();
    assert_eq!(reached(&folder.path().join("older.csv")), [true, false]);
}
