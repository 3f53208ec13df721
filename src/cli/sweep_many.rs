//! `epsiloscope sweep` over several images, attacks, models or seeds: one table, resumable, and a report over all.

use super::options::{gibibytes_text, keep_to, parse_memory, print};
use super::progress::Progress;
use super::sweep::{DEFAULT_EPSILONS, SweepOptions, criterion, load_model, parse_epsilons, wish};
use super::sweep_words::words;
use crate::attack::{CATALOG, DEFAULT_BUDGET_BYTES, Norm};
use crate::data::{Dataset, write_bytes_atomic};
use crate::gpu::Compute;
use crate::model::Task;
use crate::study::campaign::{
    CampaignModel, CampaignPlan, CampaignSet, Fingerprint, Summary, Table, campaign_html, counted, one_task,
    run_watched, summary_csv, window_words, windows, windows_csv,
};
use crate::study::report::{Provenance, check_writable, epsilon, utc_now};
use anyhow::{Context, bail, ensure};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Arguments of a campaign.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Many images, attacks, models or seeds")]
pub(super) struct ManyOptions {
    /// Of each data set, or file of several images, at most the first so many images (of --split).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub count: Option<u32>,
    /// Only this part of data sets: train, test.
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// Leave an image alone once it is as the attack wants it: quicker, and no stronger than needed.
    #[arg(long)]
    stop_early: bool,
    /// Memory in GiB that gradients may take: an image that needs more is computed in tiles (without it, one that needs more than
    /// three quarters of what is free), and of smaller ones so many run together (without it, in 2 GiB).
    #[arg(long, value_name = "GIB", value_parser = parse_memory)]
    pub memory: Option<u64>,
}

/// So many images of a data set may be unreadable before it is refused.
const FIRST_LOOK: usize = 16;

impl ManyOptions {
    /// The options that were given, with their values.
    pub fn words(&self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("--count", self.count.map(|count| count.to_string())),
            ("--split", self.split.clone()),
            ("", self.stop_early.then(|| "--stop-early".to_owned())),
            ("--memory", self.memory.map(gibibytes_text)),
        ]
    }
}

/// Runs the campaign, or goes on with it.
pub(super) fn run(options: &SweepOptions) -> anyhow::Result<()> {
    ensure!(
        options.case.label.is_none() && options.case.slice.is_none() && options.plane.is_none(),
        "--label, --slice and --plane are for one image; a data set knows its labels (`epsiloscope dataset FOLDER`)"
    );
    let attacks = options.methods()?;
    let mut epsilons = parse_epsilons(&options.epsilons, &attacks)?;
    // Without a list each attack has the grid of its norm.
    let relative = options.epsilons == DEFAULT_EPSILONS;
    epsilons.retain(|e| *e > 0.0);
    ensure!(!epsilons.is_empty(), "--epsilons: give one above 0");
    ensure!(
        attacks.iter().map(|a| a.name()).collect::<std::collections::HashSet<_>>().len() == attacks.len(),
        "--attack: each attack once; other parameters of the same make another campaign"
    );
    check_writable(&options.out)?;
    let drawn_once: Vec<&str> = attacks.iter().filter(|a| a.get("seed").is_none()).map(|a| a.title()).collect();
    if options.seeds.len() > 1 && !drawn_once.is_empty() {
        eprintln!(
            "{}: nothing random in it, so that it and its control have the first seed only",
            drawn_once.join(", ")
        );
    }
    let sets = options.images.iter().map(|path| set(path, options)).collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(!sets.is_empty(), "give the images: a folder, or files");
    let sets = together(sets);
    let backend = Compute::headless(options.device.device)?;
    let models = models(options, &backend.device)?;
    ensure!(one_task(&models), "some of the models segment and others classify; give models of one kind");
    let card = models.first().context("no model")?.model.card().clone();
    let Some(wish) = wish(options, &card)? else {
        bail!("--target: a mask is for one image; write class:N, or erase:CLASS");
    };
    let targeted = wish != crate::study::campaign::Wish::Untargeted;
    let criterion = criterion(options.broken_below, card.task, targeted)?;
    // Before anything is attacked: whether it can be measured.
    let limits = options.seen.limits(&models, &attacks)?;
    let wanted = options.seen.wanted()?;
    let plan = CampaignPlan {
        sets,
        models,
        attacks,
        seeds: distinct(&options.seeds),
        epsilons,
        relative,
        criterion,
        seen: options.seen.is_asked_for().then_some(wanted),
        wish,
        region: options.region.clone(),
        stop_early: options.many.stop_early,
        budget_bytes: options.many.memory.unwrap_or(DEFAULT_BUDGET_BYTES),
        device: backend.info.description.clone(),
    };
    std::fs::create_dir_all(&options.out).with_context(|| format!("{}: cannot be made", options.out.display()))?;
    let mut table = Table::open(&options.out.join("rows.csv"))?;
    if table.before() > 0 {
        eprintln!("{} rows are there already; going on", table.before());
    }
    let mut progress = Progress::new("attacked");
    let left_out = run_watched(&plan, &mut table, &mut |ahead| match (ahead.pairs, ahead.running) {
        (pairs, Some(steps)) => progress.within(pairs, steps),
        ([done, total], None) => progress.step(done, total),
    })?;
    left_out.iter().for_each(|error| eprintln!("left out: {error}"));
    let rows = table.rows();
    ensure!(!rows.is_empty(), "none of the images could be read");
    let mut summary = Summary::new(&rows);
    summary.notes.splice(0..0, purposes(&plan.models));
    let unseen = limits.as_ref().map_or("", |limits| &limits.words);
    let facts = provenance(options, &plan, unseen, [rows.len(), left_out.len()]);
    let score = if card.task == Task::Classification { "P(true class)" } else { "Dice" };
    write_bytes_atomic(&options.out.join("summary.csv"), summary_csv(&summary).as_bytes())?;
    let found = limits.as_ref().map(|limits| windows(&rows, criterion, &limits.of)).unwrap_or_default();
    if limits.is_some() {
        write_bytes_atomic(&options.out.join("windows.csv"), windows_csv(&found).as_bytes())?;
    }
    let page = campaign_html(
        &summary,
        limits.as_ref().map(|l| (&found[..], l.words.as_str())),
        &facts,
        &criterion.to_string(),
        score,
    );
    write_bytes_atomic(&options.out.join("campaign.html"), page.as_bytes())?;
    let mut seen = limits.as_ref().map_or(String::new(), |l| format!("broken and not seen ({}):\n", l.words));
    found.iter().for_each(|set| seen += &format!("  {}\n", window_words(set)));
    print(&(words(&summary) + &seen + &format!("report: {}\n", options.out.join("campaign.html").display())))
}

/// The data set at `path`.
fn set(path: &Path, options: &SweepOptions) -> anyhow::Result<CampaignSet> {
    let set = Dataset::find(path, &AtomicBool::new(false), &|_| {})?;
    let of_split = |i: &usize| {
        let split = set.entries[*i].split.as_deref();
        options.many.split.as_deref().is_none_or(|wanted| split == Some(wanted))
    };
    let most = options.many.count.map_or(usize::MAX, |count| count as usize);
    let entries: Vec<usize> = (0..set.entries.len()).filter(of_split).take(most).collect();
    if entries.is_empty() {
        let splits: Vec<String> = set.splits().iter().map(|(name, _)| name.to_string()).collect();
        bail!(
            "{}: has no images of the split {}; there are {}",
            path.display(),
            options.many.split.as_deref().unwrap_or("?"),
            if splits.is_empty() { "none".to_owned() } else { splits.join(", ") }
        );
    }
    // Before anything is written: whether there is an image at all.
    let never = AtomicBool::new(false);
    let mut first_error = None;
    let readable = entries.iter().take(FIRST_LOOK).any(|&entry| match set.open_entry(entry, &never) {
        Ok(_) => true,
        Err(error) => {
            first_error.get_or_insert(error);
            false
        }
    });
    if let (false, Some(error)) = (readable, first_error) {
        return Err(anyhow::Error::from(error).context(format!("{}: its images cannot be read", path.display())));
    }
    Ok(CampaignSet {
        name: set.name.clone(),
        entries,
        set,
        bounds: options.case.bounds,
        label_map: options.case.label_map.clone(),
    })
}

/// Each once, in order.
fn distinct(seeds: &[u64]) -> Vec<u64> {
    let mut seen = std::collections::HashSet::new();
    seeds.iter().copied().filter(|seed| seen.insert(*seed)).collect()
}

/// Two sets of one name are told apart.
fn together(mut sets: Vec<CampaignSet>) -> Vec<CampaignSet> {
    for i in 1..sets.len() {
        let same = sets[..i].iter().filter(|set| set.set.name == sets[i].set.name).count();
        if same > 0 {
            sets[i].name = format!("{} ({})", sets[i].set.name, same + 1);
        }
    }
    sets
}

fn models(options: &SweepOptions, device: &burn::tensor::Device) -> anyhow::Result<Vec<CampaignModel>> {
    let mut models: Vec<CampaignModel> = Vec::new();
    let paths: Vec<Option<&Path>> = match options.models.as_slice() {
        [] => vec![None],
        all => all.iter().map(|path| Some(path.as_path())).collect(),
    };
    for path in paths {
        let model = keep_to(load_model(path, device)?, options.many.memory);
        let facts = model.facts();
        if !facts.guessed.is_empty() {
            eprintln!(
                "{}: no card lies beside it, so this was guessed: {}",
                model.card().name,
                facts.guessed.join("; ")
            );
        }
        let id = Fingerprint::of_model(model.as_ref())?;
        let name = match path.and_then(|path| path.file_stem()) {
            Some(stem) => stem.to_string_lossy().into_owned(),
            None => model.card().name.clone(),
        };
        let same = models.iter().filter(|m| m.name == name || m.name.starts_with(&format!("{name} ("))).count();
        let name = if same > 0 { format!("{name} ({})", same + 1) } else { name };
        models.push(CampaignModel { name, id, model });
    }
    Ok(models)
}

/// What the models were made for, by the names that the campaign calls them: a note for all that were made for the same.
fn purposes(models: &[CampaignModel]) -> Vec<String> {
    let mut all: Vec<(&str, Vec<&str>)> = Vec::new();
    for model in models {
        let purpose = model.model.card().made_for.trim().trim_end_matches('.');
        match all.iter_mut().find(|(known, _)| *known == purpose) {
            _ if purpose.is_empty() => {}
            Some((_, names)) => names.push(&model.name),
            None => all.push((purpose, vec![&model.name])),
        }
    }
    let note = |(purpose, names): (&str, Vec<&str>)| {
        let [were, find] = if names.len() == 1 { ["was", "it finds"] } else { ["were", "they find"] };
        format!(
            "{} {were} made for {purpose}. What {find} in images of another kind means little.",
            names.join(" and ")
        )
    };
    all.into_iter().map(note).collect()
}

fn provenance(options: &SweepOptions, plan: &CampaignPlan, unseen: &str, [rows, left_out]: [usize; 2]) -> Provenance {
    let mut facts = Provenance { command: options.command(), ..Provenance::default() };
    for set in &plan.sets {
        facts.add(
            "data",
            format!("{}: {} of {} {}", set.name, set.entries.len(), set.set.entries.len(), set.set.kind()),
        );
        facts.add("labels", set.set.rules.join("; "));
    }
    for model in &plan.models {
        facts.add("model", format!("{}: {} (fingerprint {})", model.name, model.model.card().description, model.id));
    }
    for attack in &plan.attacks {
        facts.add("attack", attack.summary());
        let source = CATALOG.iter().find(|entry| entry.name == attack.name()).map_or("", |entry| entry.source);
        facts.add("source", source);
    }
    let list = |values: Vec<String>| values.join(", ");
    facts.add("ε", list(plan.epsilons.iter().map(|e| epsilon::short(*e)).collect()));
    let longer: Vec<&str> = plan.attacks.iter().filter(|a| a.norm() == Some(Norm::L2)).map(|a| a.title()).collect();
    if plan.relative && !longer.is_empty() {
        let what = "the L2 norm of a change of as much everywhere";
        facts.add("ε in L2", format!("{}: these × √(number of values of the image), {what}", longer.join(", ")));
    }
    facts.add("seeds", list(plan.seeds.iter().map(u64::to_string).collect()));
    facts.add("target", plan.wish.name());
    facts.add("criterion", plan.criterion.to_string());
    if let Some(seen) = &plan.seen {
        facts.add("shown", seen.shown());
    }
    facts.add("not seen", unseen);
    facts.add(
        "confined to",
        plan.region
            .clone()
            .map_or_else(String::new, |region| format!("{region}; attacks and controls change nothing outside of it")),
    );
    facts.add("stopped early", if plan.stop_early { "yes" } else { "no" });
    facts.add("memory", format!("{} bytes for the gradients of one batch", plan.budget_bytes));
    facts.add("rows", rows.to_string());
    facts.add(
        "left out",
        if left_out > 0 { format!("{} that cannot be read", counted(left_out, "image")) } else { String::new() },
    );
    facts.add("device", plan.device.clone());
    facts.add("made by", format!("Epsiloscope {}, {}", env!("CARGO_PKG_VERSION"), utc_now()));
    facts
}
