//! `epsiloscope attack`: an adversarial example of an image, or of each image of an array, as a NumPy array; or of each case
//! of a table.

use super::attack_batch::{Batch, BatchOptions, parse_epsilon};
use super::attack_beside::Beside;
use super::images::{Images, InputOptions, check_array_name};
use super::options::print;
use super::progress::Progress;
use super::sweep::attack_parser;
use super::targets::Targets;
use crate::attack::{Attack, EpsilonMeaning, Judgement, Norm, Options, Reference, Step, input_gradient};
use crate::data::{Bounds, write_npy};
use crate::model::{InputRule, Model, ModelCard, SizeRule, Task};
use crate::study::report::epsilon;
use crate::study::{BatchCase, Truth, kept_in_pixels, measured_norm};
use crate::tensor::to_host;
use anyhow::{Context, ensure};
use burn::tensor::Tensor;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Arguments of `epsiloscope attack`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct AttackCommand {
    /// An image file, or a NumPy array (.npy) of numbers in pixel units with the axes (channels, rows, columns) or
    /// (images, channels, rows, columns).
    #[arg(required_unless_present = "batch", conflicts_with = "batch")]
    image: Option<PathBuf>,
    #[command(flatten)]
    batch: BatchOptions,
    #[command(flatten)]
    input: InputOptions,
    /// The attack; `epsiloscope attacks` explains them.
    #[arg(long, default_value = "fgsm", value_parser = attack_parser())]
    attack: &'static str,
    /// A parameter of the attack, as often as wanted: --set steps=20
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// ε, as a fraction of the bounds' width: a decimal, or 4/255. With --raw in the units of the array. Attacks that look for
    /// the smallest perturbation need none.
    #[arg(long, value_name = "EPSILON", allow_hyphen_values = true, conflicts_with = "batch")]
    epsilon: Option<String>,
    /// The truth, whose loss is raised: a mask (an image), a NumPy array of whole numbers (classes of images, or of pixels), or
    /// class:3. Without it, the model's own prediction.
    #[arg(long, value_name = "MASK|FILE.npy|class:N", conflicts_with = "batch")]
    label: Option<String>,
    /// What is wished instead, whose loss is lowered: as --label.
    #[arg(long, value_name = "MASK|FILE.npy|class:N", conflicts_with_all = ["label", "batch"])]
    target: Option<String>,
    /// What the mask's values mean, in the classes of the model: `0=membrane,255=cell`. Without it, guessed by agreement with
    /// the prediction.
    #[arg(long, value_name = "VALUE=CLASS,…")]
    label_map: Option<String>,
    /// Seed of whatever is random.
    #[arg(long, default_value_t = 0)]
    seed: u32,
    /// Where the adversarial images go: a NumPy array of 32-bit floats in the units and with the axes of the input. With --batch
    /// where the table of results goes; without it, to the standard output.
    #[arg(long, value_name = "FILE", required_unless_present = "batch")]
    out: Option<PathBuf>,
    /// Where the gradient of the loss at the clean images goes, by the units of the input: a NumPy array of the same axes.
    #[arg(long, value_name = "FILE.npy", conflicts_with = "batch")]
    save_gradient: Option<PathBuf>,
}

impl AttackCommand {
    /// Attacks, and writes the arrays.
    pub fn run(&self) -> anyhow::Result<()> {
        let mut attack = Attack::parse(self.attack, &self.settings)?;
        if attack.get("seed").is_some() {
            attack = attack.with("seed", f64::from(self.seed))?;
        }
        if let Some(cases) = &self.batch.batch {
            let batch = Batch::new(&self.input, self.label_map.as_deref(), &self.batch, attack)?;
            return batch.run(cases, self.out.as_deref());
        }
        // Clap forgives what it requires where that cannot be beside another argument, as --batch cannot beside an image.
        if let Some(name) = self.batch.needless() {
            anyhow::bail!("{name}: only with --batch CASES.csv, not with an image");
        }
        let (Some(path), Some(out)) = (&self.image, &self.out) else {
            anyhow::bail!("give an image and --out; or --batch CASES.csv");
        };
        for path in [Some(out), self.save_gradient.as_ref()].into_iter().flatten() {
            check_array_name(path)?;
        }
        let epsilon = self.radius(attack)?;
        if self.label.is_some() {
            attack.check_reference(Reference::Label)?;
        }
        let model = self.input.open_model()?;
        let mut images = Images::read(path, &self.input, model.as_ref())?;
        let (model, epsilon) =
            if self.input.raw { self.raw(attack, model, &mut images, epsilon)? } else { (model, epsilon) };
        let size = [images.shape[2], images.shape[3]];
        let unit = Bounds { lower: 0.0, upper: 1.0 };
        let as_written = self.input.raw.then(|| as_it_is(model.as_ref(), unit, size)).transpose()?;
        let targets = Targets::read(
            self.label.as_deref().or(self.target.as_deref()),
            self.label_map.as_deref(),
            self.input.slice,
            &images,
        )?;
        targets.check_counted(model.card())?;
        let (count, width) = (images.shape[0], images.bounds.width());
        let (mut adversarial, mut gradients, mut judged) = (Vec::new(), Vec::new(), Vec::new());
        let mut beside = Beside::default();
        let mut clipped = Vec::new();
        let mut first = 0;
        while first < count {
            let batch = images.at_once(model.as_ref()).min(count - first);
            let x = images.unit_tensor(first, batch, &model.device());
            let objective = if self.target.is_some() {
                targets.wished(first, batch, model.as_ref(), &x)?
            } else {
                targets.objective(first, batch, model.as_ref(), &x)?
            };
            if self.save_gradient.is_some() {
                let (_, gradient) = input_gradient(model.as_ref(), &x, &objective)?;
                gradients.extend(to_host(gradient)?.into_iter().map(|g| g / width));
            }
            let before = objective.judge(model.as_ref(), x.clone())?;
            let options = Options { region: images.within(first, batch, &model.device()), ..Options::default() };
            let mut progress = Progress::new("step");
            let mut observer = |step: &Step<'_>| {
                progress.long_step(step.index, step.of);
                ControlFlow::Continue(())
            };
            let found = attack.run(model.as_ref(), &x, &objective, &vec![epsilon; batch], &options, &mut observer)?;
            progress.end();
            beside.add((attack, self.seed, &options), model.as_ref(), &x, &objective, epsilon, &found)?;
            let written = in_units(attack, epsilon, &images, first, &x, found.adversarial)?;
            // Judged is what is written, after the rounding to the units of the input.
            let kept = Images {
                shape: [batch, images.shape[1], images.shape[2], images.shape[3]],
                values: written,
                bounds: images.bounds,
                axes: Vec::new(),
                slice: None,
            };
            let after = match &as_written {
                Some(model) => {
                    let kept = kept.tensor(0, batch, &model.device());
                    objective.judge_moved(model.as_ref(), kept, found.flow.as_ref())?
                }
                None => {
                    let kept = kept.unit_tensor(0, batch, &model.device());
                    objective.judge_moved(model.as_ref(), kept, found.flow.as_ref())?
                }
            };
            adversarial.extend(kept.values);
            judged.extend(before.into_iter().zip(after));
            clipped.extend(found.clipped.unwrap_or_default());
            first += batch;
        }
        let broken = adversarial.iter().chain(&gradients).filter(|v| !v.is_finite()).count();
        ensure!(
            broken == 0,
            "{broken} values are not numbers; nothing was written. Check the model's card, or the image"
        );
        write_npy(out, &images.axes, &adversarial)?;
        if let Some(path) = &self.save_gradient {
            write_npy(path, &images.axes, &gradients)?;
        }
        let words = self.words(out, &attack, &images, &judged, &adversarial, model.card().task);
        let words =
            words + &images.slice_words() + &outside_words(&images) + self.moved_words(attack, model.card().task);
        print(&(words + &cut_words(&clipped) + &beside.words(&judged, self.target.is_some())))
    }

    /// ε as it was written; 0 where the attack looks for the smallest perturbation and none was.
    fn radius(&self, attack: Attack) -> anyhow::Result<f64> {
        let Some(text) = &self.epsilon else {
            ensure!(
                attack.entry().epsilon == EpsilonMeaning::Found,
                "{} stays within an ε: give --epsilon, a fraction of the bounds’ width, e.g. 4/255 or 0.0157",
                attack.title()
            );
            ensure!(
                !self.input.raw || self.input.bounds.is_some(),
                "--raw has no bounds of its own: give --bounds LOWER,UPPER, or an --epsilon that no value goes beyond"
            );
            return Ok(0.0);
        };
        // An L2 radius, or a radius in the units of the array, may be larger than 1.
        let epsilon = if self.input.raw || attack.norm() == Some(Norm::L2) {
            parse_epsilon(text)
        } else {
            epsilon::number(text).map_err(anyhow::Error::from)
        };
        epsilon.context("--epsilon")
    }

    /// The model that takes numbers as they are, and ε as a share of the bounds that hold them.
    fn raw(
        &self,
        attack: Attack,
        model: Arc<dyn Model>,
        images: &mut Images,
        epsilon: f64,
    ) -> anyhow::Result<(Arc<dyn Model>, f64)> {
        if self.input.bounds.is_none() {
            let (lower, upper) =
                images.values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), &v| (lo.min(v), hi.max(v)));
            // Wide enough that nothing is clipped: no attack goes further than ε, or L2's whole ε in one value. A step along the
            // gradient is ε·√N long.
            let values: usize = images.shape[1..].iter().product();
            let furthest = if attack.norm().is_some() { epsilon } else { epsilon * (values as f64).sqrt() };
            let room = (furthest as f32).max(1e-6) * 1.01;
            images.bounds = Bounds { lower: lower - room, upper: upper + room };
        }
        let [_, _, height, width] = images.shape;
        let raw = as_it_is(model.as_ref(), images.bounds, [height, width])?;
        Ok((raw, epsilon / f64::from(images.bounds.width())))
    }

    /// Against what masks are judged where pixels were moved.
    fn moved_words(&self, attack: Attack, task: Task) -> &'static str {
        match (attack.moves_pixels() && task == Task::Segmentation, &self.target) {
            (false, _) => "",
            (true, None) => {
                "judged against the mask and against the mask moved along with its pixels: that counts by which fewer pixels are wrong\n"
            }
            (true, Some(_)) => {
                "what the target changes is counted where the target has it, wherever pixels have moved\n"
            }
        }
    }

    fn words(
        &self,
        out: &Path,
        attack: &Attack,
        images: &Images,
        judged: &[(Judgement, Judgement)],
        adversarial: &[f32],
        task: Task,
    ) -> String {
        let mean = |value: &dyn Fn(&(Judgement, Judgement)) -> f32| {
            judged.iter().map(|pair| f64::from(value(pair))).sum::<f64>() / judged.len().max(1) as f64
        };
        let furthest = images.values.iter().zip(adversarial).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        let what = match (&self.target, task) {
            (None, _) if self.label.is_none() => "no longer as the model predicts",
            (None, _) => "no longer as the label",
            (Some(_), Task::Classification) => "as wished",
            (Some(_), Task::Segmentation) => "as wished, of what the target changes",
        };
        format!(
            "{}: {:?}\n{}\nbounds {} to {}; furthest change {furthest} in the input’s units\nloss {:.6} → {:.6}; {what}: {:.2} % → \
             {:.2} %{}\n",
            out.display(),
            images.axes,
            attack.summary(),
            images.bounds.lower,
            images.bounds.upper,
            mean(&|(before, _)| before.loss),
            mean(&|(_, after)| after.loss),
            100.0 * mean(&|(before, _)| before.hits),
            100.0 * mean(&|(_, after)| after.hits),
            if judged.len() > 1 { format!(" (mean of {} images)", judged.len()) } else { String::new() },
        )
    }
}

/// Adversarial images in the units of the input, within ε of what was read. What was not changed stays bit for bit.
fn in_units(
    attack: Attack,
    epsilon: f64,
    images: &Images,
    first: usize,
    x: &Tensor<4>,
    adversarial: Tensor<4>,
) -> anyhow::Result<Vec<f32>> {
    let (clean, found) = (to_host(x.clone())?, to_host(adversarial)?);
    let [_, channels, height, width] = images.shape;
    let each = channels * height * width;
    let units = found.chunks(each.max(1)).zip(clean.chunks(each.max(1)));
    let in_pixels = |(i, (found, clean)): (usize, (&[f32], &[f32]))| {
        let start = (first + i) * each;
        let case = BatchCase {
            shape: [channels, height, width],
            values: images.values[start..start + each].to_vec(),
            bounds: images.bounds,
            truth: Truth::Class(0),
            epsilon: attack.norm().map(|_| epsilon),
            limits: None,
        };
        kept_in_pixels(&case, measured_norm(attack), found, clean)
    };
    Ok(units.enumerate().flat_map(in_pixels).collect())
}

/// What is to be said of values beyond the bounds.
fn outside_words(images: &Images) -> String {
    match images.values.iter().filter(|&&v| !images.holds(v)).count() {
        0 => String::new(),
        count => format!(
            "{count} of {} values lie beyond the bounds: the model sees them clipped, and the attack leaves them as they are\n",
            images.values.len()
        ),
    }
}

/// What is to be said of an attack that steps along the gradient itself: how much of its steps ball and bounds have cut.
fn cut_words(clipped: &[f32]) -> String {
    if clipped.is_empty() {
        return String::new();
    }
    let mean = clipped.iter().map(|&share| f64::from(share)).sum::<f64>() / clipped.len() as f64;
    format!("cut at the last step: {:.2} % of the values\n", 100.0 * mean)
}

/// `model` fed with numbers as they are: what is scaled to [0, 1] of `bounds` is scaled back, and its card does nothing else than to
/// tell where the graph has its channels.
pub(super) fn as_it_is(
    model: &dyn Model,
    Bounds { lower, upper }: Bounds,
    [height, width]: [usize; 2],
) -> anyhow::Result<Arc<dyn Model>> {
    let card = model.card();
    let size_rule = match card.size_rule {
        SizeRule::Tile(size) | SizeRule::Resize(size) => {
            ensure!(
                size == [height, width],
                "the network takes {} × {} only, and the array has {height} × {width}; without --raw its card says how other \
                     sizes are brought to it",
                size[0],
                size[1]
            );
            card.size_rule
        }
        rule if card.network.is_some() => rule,
        _ => SizeRule::Any,
    };
    let input = InputRule { range: [lower, upper], layout: card.input.layout, ..InputRule::default() };
    let card = ModelCard { input, size_rule, ..card.clone() };
    Ok(model.with_card(card)?)
}
