//! What the trainings of a study will take, told before they start: arithmetic, and time at the speed of a few of their steps.

use super::work::place;
use super::{StudyError, StudyOptions, Told, counted};
use crate::data::Case;
use crate::train::{Header, Recipe, Trainer, TrainingData, clock, operations};
use std::time::{Duration, Instant};

/// Steps that are timed, after one that warms up; fewer if they take longer than this together.
const STEPS: usize = 7;
const LONGEST: Duration = Duration::from_secs(20);

/// A training, and what is measured of its network.
pub(super) struct Planned {
    /// Its files are called so.
    pub name: String,
    pub recipe: Recipe,
    /// Operations of what is measured.
    pub measuring: f64,
}

/// What the trainings on one data set will take.
pub(super) struct Price {
    /// The data set, where a study takes several.
    name: Option<String>,
    trainings: usize,
    steps: usize,
    /// Operations of all, and of what is not done yet.
    flops: f64,
    left: f64,
    /// How many are done.
    done: usize,
    /// Operations a second; none where nothing is left to do.
    speed: Option<f64>,
    device: String,
}

impl Price {
    /// Times a few steps of the first training on this device.
    pub fn new(
        name: Option<String>,
        planned: &[Planned],
        data: &TrainingData,
        options: &StudyOptions,
    ) -> Result<Self, StudyError> {
        let device = options.device_name.clone();
        let mut price =
            Self { name, trainings: planned.len(), steps: 0, flops: 0.0, left: 0.0, done: 0, speed: None, device };
        for one in planned {
            let recipe = &one.recipe;
            price.steps = data.train.crops(recipe.crop).div_ceil(recipe.batch) * recipe.epochs;
            // Each epoch ends with a look at the held-out images; what is appended to a batch is in its steps.
            let looks = forward(recipe, &data.validate) * recipe.epochs as f64;
            let training = recipe.step_flops() * price.steps as f64 + looks;
            price.flops += training + one.measuring;
            if options.resume && place(options, &one.name, "json").exists() {
                price.done += 1;
                continue;
            }
            price.left += training * (1.0 - trained(options, &one.name, price.steps)) + one.measuring;
        }
        if let Some(first) = planned.first().filter(|_| price.left > 0.0) {
            price.speed = Some(speed(&first.recipe, data, options)?);
        }
        Ok(price)
    }

    fn time(&self, flops: f64) -> Option<Duration> {
        Some(Duration::try_from_secs_f64(flops / self.speed?).unwrap_or(Duration::MAX))
    }

    /// All of it, done or not.
    fn text(&self) -> String {
        let Self { trainings, steps, flops, device, .. } = self;
        let name = self.name.as_ref().map_or_else(String::new, |name| format!("{name}: "));
        let about = self.time(*flops).map_or_else(String::new, |time| {
            format!(": about {} at the speed of a few steps on {device}", clock(time))
        });
        let trainings = counted(*trainings, "training", "trainings");
        format!("{name}{trainings} of {steps} steps, {} in all{about}", operations(*flops))
    }
}

/// Those of all data sets.
pub(super) struct Prices(pub Vec<Price>);

impl Prices {
    /// Each, and where there are several the sum.
    pub fn text(&self) -> String {
        self.0.iter().map(Price::text).chain(self.sum()).collect::<Vec<_>>().join("; ")
    }

    /// Says it before anything is trained, and what is left of it.
    pub fn tell(&self, told: Told<'_>) {
        for price in &self.0 {
            told(&format!("cost: {}", price.text()), 0.0);
        }
        for text in self.sum().into_iter().chain(self.left()) {
            told(&format!("cost: {text}"), 0.0);
        }
    }

    fn total(&self, of: fn(&Price) -> f64) -> String {
        let flops: f64 = self.0.iter().map(of).sum();
        // A set of which nothing is left has no speed and takes no time.
        let times = self.0.iter().filter(|price| of(price) > 0.0).map(|price| price.time(of(price)));
        let time: Option<Duration> = times.sum();
        let about = time.map_or_else(String::new, |time| format!(", about {}", clock(time)));
        format!("{}{about}", operations(flops))
    }

    fn sum(&self) -> Option<String> {
        let sets = self.0.len();
        let trainings: usize = self.0.iter().map(|price| price.trainings).sum();
        (sets > 1).then(|| format!("all {sets} data sets: {trainings} trainings, {}", self.total(|price| price.flops)))
    }

    /// What is left, where something is kept.
    fn left(&self) -> Option<String> {
        let kept = self.0.iter().any(|price| price.left < price.flops);
        let done: usize = self.0.iter().map(|price| price.done).sum();
        let all: usize = self.0.iter().map(|price| price.trainings).sum();
        kept.then(|| match all - done {
            0 => format!("all {all} trainings are done"),
            _ => format!("{done} of {all} trainings are done; {} left", self.total(|price| price.left)),
        })
    }
}

/// Operations of one forward pass over all of `cases`.
pub(super) fn forward(recipe: &Recipe, cases: &[Case]) -> f64 {
    let pixels: usize = cases.iter().map(|case| case.image.height * case.image.width).sum();
    let input = recipe.input();
    recipe.network.flops([input, input]) as f64 * pixels as f64 / (input * input).max(1) as f64
}

/// The share of a training's steps that its checkpoint has behind it. One that cannot be read is found when its turn comes.
fn trained(options: &StudyOptions, name: &str, steps: usize) -> f64 {
    let checkpoint = place(options, name, "checkpoint");
    if !options.resume || !checkpoint.exists() {
        return 0.0;
    }
    Header::read(&checkpoint).map_or(0.0, |header| (header.step as f64 / steps.max(1) as f64).min(1.0))
}

/// Operations a second: the median of a few steps with the recipe's own batch, without samples that an attack makes.
fn speed(recipe: &Recipe, data: &TrainingData, options: &StudyOptions) -> Result<f64, StudyError> {
    // Enough epochs that none of the steps is after the last.
    let one = Recipe { adversarial: Vec::new(), epochs: recipe.epochs.max(STEPS + 1), ..recipe.clone() };
    let data = TrainingData { validate: Vec::new().into(), ..data.clone() };
    let mut trial = Trainer::new(one.clone(), data, &options.device)?;
    // The first step also makes the first batch and warms up.
    trial.step()?;
    let begun = Instant::now();
    let mut times = Vec::with_capacity(STEPS);
    while times.len() < STEPS && (times.is_empty() || begun.elapsed() < LONGEST) {
        if options.control.is_cancelled() {
            return Err(StudyError::Cancelled);
        }
        let start = Instant::now();
        trial.step()?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(one.step_flops() / median(times).max(1e-9))
}

/// The middle value, or of the two in the middle the smaller.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::super::tests::options;
    use super::*;
    use crate::data::synthetic::MembranesConfig;
    use crate::model::unet::UNetConfig;
    use crate::train::Source;

    fn planned(names: [&str; 2]) -> Vec<Planned> {
        let recipe = Recipe { batch: 2, crop: 16, ..Recipe::new(UNetConfig::new(2, 2), 3) };
        names.map(|name| Planned { name: name.to_owned(), recipe: recipe.clone(), measuring: 1e6 }).into()
    }

    fn data() -> TrainingData {
        let case = |seed| MembranesConfig::sized(32).section(seed).case("a");
        TrainingData { train: Source::Cases(vec![case(1)].into()), validate: vec![case(2)].into() }
    }

    #[test]
    fn what_is_kept_is_not_left_to_pay() {
        let folder = tempfile::tempdir().unwrap();
        let fresh = options(folder.path(), &folder.path().join("out"));
        let price = |options: &StudyOptions| Price::new(None, &planned(["a", "b"]), &data(), options).unwrap();
        let first = Prices(vec![price(&fresh)]);
        // Four crops of 16² cover a section of 32²: two steps an epoch.
        let text = first.text();
        assert!(text.starts_with("2 trainings of 6 steps, ") && text.contains("FLOP in all"), "{text}");
        assert!(text.contains("about ") && first.left().is_none() && first.sum().is_none(), "{text}");
        let resumed = StudyOptions { resume: true, ..fresh.clone() };
        std::fs::write(place(&resumed, "a", "json"), "{}").unwrap();
        let half = price(&resumed);
        assert!((half.left - 0.5 * half.flops).abs() < 1e-6 * half.flops, "{} of {}", half.left, half.flops);
        assert!((half.flops - first.0[0].flops).abs() < 1.0, "the whole is the same");
        let mut lines = Vec::new();
        Prices(vec![half]).tell(&mut |line, _| lines.push(line.to_owned()));
        assert!(lines.len() == 2 && lines[1].starts_with("cost: 1 of 2 trainings are done; "), "{lines:?}");
        // Where nothing is left no step is timed, and no time is told.
        std::fs::write(place(&resumed, "b", "json"), "{}").unwrap();
        let none = Prices(vec![price(&resumed)]);
        assert!(none.0[0].speed.is_none() && !none.text().contains("about"), "{}", none.text());
        assert_eq!(none.left().unwrap(), "all 2 trainings are done");
    }

    #[test]
    fn all_data_sets_are_told_with_their_sum() {
        let set = |name: &str, flops, speed| Price {
            name: Some(name.to_owned()),
            trainings: 3,
            steps: 10,
            flops,
            left: flops,
            done: 0,
            speed: Some(speed),
            device: "the CPU".to_owned(),
        };
        let mut lines = Vec::new();
        let both = Prices(vec![set("cells", 1e12, 1e10), set("ct", 2e12, 1e10)]);
        both.tell(&mut |line, _| lines.push(line.to_owned()));
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].starts_with("cost: cells: 3 trainings of 10 steps, 1.0 TFLOP in all: about 1 min 40 s"));
        assert_eq!(lines[2], "cost: all 2 data sets: 6 trainings, 3.0 TFLOP, about 5 min 00 s");
        assert!(both.text().ends_with("; all 2 data sets: 6 trainings, 3.0 TFLOP, about 5 min 00 s"));
    }

    #[test]
    fn a_single_slow_step_does_not_count() {
        assert_eq!(median(vec![1.0, 9.0, 1.2, 1.1, 1.3]), 1.2);
        assert_eq!([median(vec![2.0]), median(vec![1.0, 3.0])], [2.0, 1.0]);
    }
}
