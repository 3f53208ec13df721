//! `epsiloscope sweep`: the window's main job without a window.

mod arguments;
mod opened;
mod words;

pub(in crate::cli) use arguments::{SweepOptions, attack_parser, quoted};
pub(in crate::cli) use opened::wish;

use super::images::tell_tiles;
use super::options::{keep_to, print};
use super::progress::Progress;
use super::sweep_many;
use crate::attack::{Attack, EpsilonMeaning, Norm, Reference};
use crate::gpu::Compute;
use crate::model::{self, BuiltIn, Model, Task};
use crate::study::report::{Criterion, Settings, build_report, check_writable, epsilon};
use crate::study::{Adversary, SweepPlan, sweep};
use anyhow::{Context, bail};
pub(super) use arguments::DEFAULT_EPSILONS;
use burn::tensor::Device;
use opened::Opened;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use words::{provenance, summary};

/// Runs the sweep and writes its report.
pub(in crate::cli) fn run(options: &SweepOptions) -> anyhow::Result<()> {
    if options.is_campaign() {
        return sweep_many::run(options);
    }
    let method = options.method()?;
    let mut epsilons = parse_epsilons(&options.epsilons, &[method])?;
    if epsilons.first().is_none_or(|&e| e > 0.0) {
        epsilons.insert(0, 0.0);
    }
    // Before anything is computed: a mistake should not cost a sweep.
    check_writable(&options.out)?;
    let opened = Opened::read(options)?;
    let backend = Compute::headless(options.device.device)?;
    if backend.info.description.contains("software") {
        eprintln!(
            "{}: a GPU in software; the CPU (--device cpu) is some twenty times faster",
            backend.info.description
        );
    }
    let model = load_model(options.models.first().map(PathBuf::as_path), &backend.device)?;
    let (subject, label) = opened.subject(options, keep_to(model, options.many.memory))?;
    let subject = Arc::new(subject);
    let unit = method.axis_unit(&subject.x);
    if options.epsilons == DEFAULT_EPSILONS {
        epsilons.iter_mut().for_each(|e| *e *= unit);
    }
    if let Some(beyond) = epsilons.iter().find(|e| **e > unit) {
        bail!(
            "--epsilons: {} is beyond {}, {}",
            epsilon::fraction(*beyond),
            epsilon::fraction(unit),
            "the L2 norm of an image that changes by the bounds’ whole width everywhere"
        );
    }
    let [height, width] = subject.case.size();
    tell_tiles(subject.model.as_ref(), height, width);

    let seen = options.seen.plan(subject.case.bounds)?;
    let criterion = criterion(options.broken_below, subject.model.card().task, subject.target.is_some())?;
    let observed = options.seen.observed(&subject.case, &subject.model.card().name, method)?;
    let plan = SweepPlan { control_seed: options.seed(), seen: seen.clone(), ..SweepPlan::exactly(epsilons) };
    let mut progress = Progress::new("measured");
    method.check_reference(subject.reference_kind)?;
    let adversary = Arc::new(Adversary::new(subject.clone(), method)?);
    let curve = sweep(adversary.clone(), &plan, |done, total| progress.step(done, total))?;
    let mut progress = Progress::new("drawn");
    let provenance = provenance(options, method, &subject, &label, &backend.info.description);
    let window = options.seen.window(&curve, criterion, &observed);
    let notes = label.notes().into_iter().chain(window.clone()).collect();
    let (limit, seed) = (options.seen.limit_with(&observed), options.seed());
    let settings = Settings { criterion, provenance, limit, seen, seed, observed, notes };
    let report = build_report(&adversary, &curve, settings, |done, total| progress.step(done, total))?;
    report.write(&options.out)?;
    let reference = match (&label.map, label.guessed) {
        _ if subject.class.is_some() => match (subject.reference_kind, &curve.clean.decision) {
            (Reference::Label, Some(d)) => format!("true class: {}\n", subject.model.card().class_name(d.truth)),
            _ => "no class is given: the class that the model chooses for the original is the reference\n".to_owned(),
        },
        (Some(map), true) => format!("label: {map} (guessed by agreement with the clean prediction)\n"),
        (Some(map), false) => format!("label: {map}\n"),
        (None, _) => "no label: the model's own clean prediction is the reference\n".to_owned(),
    };
    let window = window.map_or(String::new(), |window| window + "\n");
    print(&(summary(&curve, method, options, criterion, &subject) + &window + &reference))
}

/// Reads a list of ε for `attacks`: fractions up to 1; an attack whose ε bounds an L2 norm may have larger ones, if all that have an
/// ε are such.
pub(in crate::cli) fn parse_epsilons(text: &str, attacks: &[Attack]) -> anyhow::Result<Vec<f64>> {
    let l2 = attacks.iter().any(|attack| attack.norm() == Some(Norm::L2));
    let list = if l2 { epsilon::parse_list_up_to(text, f64::INFINITY) } else { epsilon::parse_list(text) };
    let list = list.context("--epsilons")?;
    let is_other = |a: &&Attack| a.entry().epsilon != EpsilonMeaning::Found && a.norm() != Some(Norm::L2);
    if let (Some(beyond), Some(other)) = (list.iter().find(|e| **e > 1.0), attacks.iter().rfind(is_other)) {
        bail!(
            "--epsilons: {beyond} is beyond 1, and for {} ε is a fraction of the bounds’ width; only an L2 norm may be larger. Without \
             --epsilons each attack has the grid of its norm; or give the attacks in L2 a command of their own, into the same --out",
            other.title()
        );
    }
    Ok(list)
}

/// What counts as failing for a model of `task`, if attacks have a target.
pub(in crate::cli) fn criterion(asked: Criterion, task: Task, target: bool) -> anyhow::Result<Criterion> {
    let criterion = asked.for_task(task);
    if matches!(criterion, Criterion::Target(_)) && !target {
        bail!("--broken-below {}: there is no target; give one with --target", asked.to_text());
    }
    Ok(match (target && asked == Criterion::default(), task) {
        (true, Task::Classification) => Criterion::Target(1.0),
        (true, Task::Segmentation) => Criterion::Target(0.5),
        (false, _) => criterion,
    })
}

pub(in crate::cli) fn load_model(path: Option<&Path>, device: &Device) -> anyhow::Result<Arc<dyn Model>> {
    Ok(match path {
        Some(path) => model::open(path, device)?,
        None => Arc::new(BuiltIn::bundled(device)?),
    })
}
