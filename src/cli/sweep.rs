//! `epsiloscope sweep`: the window's main job without a window.

use super::options::{CaseOptions, DeviceOptions, ModelOptions, print};
use super::perceptibility::SeenOptions;
use super::progress::Progress;
use crate::attack::{self, Attack, CATALOG, Reference};
use crate::data::{self, Axis, Case, LabelMap, LabelStack, Mask, Region, Stack};
use crate::gpu::Compute;
use crate::model::{self, BuiltIn, Model, ModelCard};
use crate::study::report::{
    Criterion, Provenance, Settings, broken_intervals, build_report, check_writable, epsilon, utc_now,
};
use crate::study::{Adversary, Curve, Subject, SweepPlan, sweep};
use anyhow::Context;
use burn::tensor::Device;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The default grid of `methods` and the clean image.
const DEFAULT_EPSILONS: &str = "0,0.25/255,0.5/255,1/255,2/255,4/255,8/255,16/255,32/255";

/// Arguments of `epsiloscope sweep`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SweepOptions {
    /// The image: PNG, JPEG, BMP, WebP, TIFF, DICOM (a file, or a folder with a series), NIfTI, NumPy,
    /// idx or CIFAR-10. Without it, the bundled sample with its label.
    image: Option<PathBuf>,
    #[command(flatten)]
    case: CaseOptions,
    /// The plane in which a volume is sliced: axial, coronal or sagittal where the file tells the sides of the patient, or 1
    /// (as it is stored), 2 (along its rows) or 3 (along its columns).
    #[arg(long, value_name = "PLANE", value_parser = ["axial", "coronal", "sagittal", "1", "2", "3"])]
    plane: Option<String>,
    #[command(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    device: DeviceOptions,
    /// The attack; `epsiloscope attacks` explains them.
    #[arg(long, default_value = "fgsm", value_parser = attack_parser())]
    attack: &'static str,
    /// ε as fractions of the bounds' width: decimals, fractions (2/255) and inclusive ranges (0..0.9:0.1), separated by
    /// commas. 0 is always measured.
    #[arg(long, value_name = "LIST", default_value = DEFAULT_EPSILONS, allow_hyphen_values = true)]
    epsilons: String,
    /// What counts as broken: Dice below a share of the clean Dice (75%), or below a value (0.7).
    #[arg(long, value_name = "DICE", default_value = "75%")]
    broken_below: Criterion,
    /// Change only this part of the image: a rectangle in pixels, or a mask of the image's size, in which everything but 0
    /// belongs to it. The control is confined to it too.
    #[arg(long, value_name = "X,Y,W,H|MASK")]
    region: Option<String>,
    #[command(flatten)]
    seen: SeenOptions,
    /// A parameter of the attack: `--set steps=20`. `epsiloscope attacks` lists them with their ranges and defaults.
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    set: Vec<String>,
    /// Seed of the random signs, and of the attack.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The folder for curve.csv, curve.svg, curve.png, a panel-….png for each ε and report.html. Made if it does not exist;
    /// files of an earlier run in it are replaced.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl SweepOptions {
    /// The defaults for a case.
    pub fn new(
        image: Option<PathBuf>,
        case: CaseOptions,
        model: ModelOptions,
        device: DeviceOptions,
        out: &Path,
    ) -> Self {
        Self {
            image,
            case,
            plane: None,
            model,
            device,
            attack: "fgsm",
            epsilons: DEFAULT_EPSILONS.to_owned(),
            broken_below: Criterion::default(),
            region: None,
            seen: SeenOptions::default(),
            set: Vec::new(),
            seed: 0,
            out: out.to_owned(),
        }
    }

    fn method(&self) -> anyhow::Result<Attack> {
        let attack = Attack::parse(self.attack, &self.set)?;
        let seeded = attack.get("seed").is_some() && !self.set.iter().any(|s| s.trim().starts_with("seed"));
        Ok(if seeded { attack.with("seed", self.seed as f64)? } else { attack })
    }

    /// The command that does the same again.
    fn command(&self) -> String {
        let mut words = vec!["epsiloscope".to_owned(), "sweep".to_owned()];
        let mut option = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                words.extend((!name.is_empty()).then(|| name.to_owned()));
                words.push(quoted(&value));
            }
        };
        let path = |path: &Option<PathBuf>| path.as_ref().map(|p| p.display().to_string());
        option("", path(&self.image));
        option("--label", path(&self.case.label));
        option("--label-map", self.case.label_map.clone());
        let bounds = self.case.bounds.map(|b| format!("{},{}", b.lower, b.upper));
        option("--bounds", bounds);
        option("--slice", self.case.slice.map(|slice| slice.to_string()));
        option("--plane", self.plane.clone());
        option("--model", path(&self.model.model));
        option("--device", Some(self.device.device.name().to_owned()));
        option("--attack", Some(self.attack.to_owned()));
        option("--set", (!self.set.is_empty()).then(|| self.set.join(",")));
        option("--epsilons", Some(self.epsilons.clone()));
        option("--broken-below", Some(self.broken_below.to_text()));
        option("--region", self.region.clone());
        self.seen.words().into_iter().for_each(|(name, value)| option(name, value));
        option("--seed", Some(self.seed.to_string()));
        option("--out", Some(self.out.display().to_string()));
        words.join(" ")
    }
}

/// As a shell wants it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Reads the name of an attack.
pub(super) fn attack_parser() -> impl TypedValueParser<Value = &'static str> {
    PossibleValuesParser::new(CATALOG.iter().map(|entry| entry.name))
        .map(|name| attack::find(&name).map_or("fgsm", |entry| entry.name))
}

/// Runs the sweep and writes its report.
pub(super) fn run(options: &SweepOptions) -> anyhow::Result<()> {
    let mut epsilons = epsilon::parse_list(&options.epsilons).context("--epsilons")?;
    if epsilons.first().is_none_or(|&e| e > 0.0) {
        epsilons.insert(0, 0.0);
    }
    let method = options.method()?;
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
    let model = load_model(options.model.model.as_deref(), &backend.device)?;
    let (subject, label) = opened.subject(options, model)?;
    let subject = Arc::new(subject);

    let seen = options.seen.plan(subject.case.bounds)?;
    let plan = SweepPlan { control_seed: options.seed, seen, ..SweepPlan::exactly(epsilons) };
    let mut progress = Progress::new("measured");
    method.check_reference(subject.reference_kind)?;
    let adversary = Arc::new(Adversary::new(subject.clone(), method)?);
    let curve = sweep(adversary.clone(), &plan, |done, total| progress.step(done, total))?;
    let mut progress = Progress::new("drawn");
    let provenance = provenance(options, method, &subject, &label, &backend.info.description);
    let window = options.seen.window(&curve, options.broken_below);
    let notes = label.notes().into_iter().chain(window.clone()).collect();
    let settings = Settings { criterion: options.broken_below, provenance, notes };
    let report = build_report(&adversary, &curve, settings, |done, total| progress.step(done, total))?;
    report.write(&options.out)?;
    let reference = match (&label.map, label.guessed) {
        (Some(map), true) => format!("label: {map} (guessed by agreement with the clean prediction)\n"),
        (Some(map), false) => format!("label: {map}\n"),
        (None, _) => "no label: the model's own clean prediction is the reference\n".to_owned(),
    };
    let window = window.map_or(String::new(), |window| window + "\n");
    print(&(summary(&curve, options) + &window + &reference))
}

fn load_model(path: Option<&Path>, device: &Device) -> anyhow::Result<Arc<dyn Model>> {
    Ok(match path {
        Some(path) => model::open(path, device)?,
        None => Arc::new(BuiltIn::bundled(device)?),
    })
}

/// An image with its label, before a model has seen them.
struct Opened {
    stack: Stack,
    label: Option<LabelStack>,
    name: String,
}

/// What became of the label.
#[derive(Default)]
struct LabelUse {
    /// The map in force, as text.
    map: Option<String>,
    guessed: bool,
}

impl LabelUse {
    fn notes(&self) -> Vec<String> {
        match &self.map {
            Some(map) if self.guessed => vec![format!(
                "What the label’s values mean was guessed by agreement with the clean prediction: {map}. If that is \
                 wrong, all numbers are: say it with --label-map."
            )],
            _ => Vec::new(),
        }
    }
}

impl Opened {
    fn read(options: &SweepOptions) -> anyhow::Result<Self> {
        let never = AtomicBool::new(false);
        let (stack, mut label) = match &options.image {
            Some(path) => (data::open(path, &never)?, None),
            None => {
                let (stack, label) = data::bundled_sample()?;
                (stack, Some(label))
            }
        };
        if let Some(path) = &options.case.label {
            label = Some(LabelStack::open(path, &never)?);
        }
        if let Some(label) = &label {
            label.check_fits(&stack)?;
        }
        let axis = axis(options.plane.as_deref(), &stack)?;
        let (stack, label) = (stack.along(axis), label.map(|label| label.along(axis)));
        let stack = match options.case.bounds {
            Some(bounds) => stack.with_bounds(bounds)?,
            None => stack,
        };
        let name = match &options.image {
            Some(path) => path.file_stem().map_or("image".to_owned(), |n| n.to_string_lossy().into_owned()),
            None => data::BUNDLED_SAMPLE_NAME.to_owned(),
        };
        let name = if stack.slices > 1 { format!("{name}, slice {}", options.case.slice()) } else { name };
        Ok(Self { stack, label, name })
    }

    /// The case on the model, with the label's values matched to the model's classes.
    fn subject(&self, options: &SweepOptions, model: Arc<dyn Model>) -> anyhow::Result<(Subject, LabelUse)> {
        let case = Arc::new(Case::from_slice(&self.stack, options.case.slice(), self.name.clone())?);
        let on = || options.image.as_ref().map_or(self.name.clone(), |path| path.display().to_string());
        let plain = Subject::new(case, model).with_context(on)?;
        let [height, width] = plain.case.size();
        let region = options.region.as_ref().map(|text| Region::parse(text, height, width));
        let region = region.transpose().context("--region")?;
        let Some(label) = &self.label else { return Ok((plain.confined(region), LabelUse::default())) };
        let (mask, used) = matched(label, options, &plain)?;
        Ok((plain.relabel(Some(mask)).with_context(on)?.confined(region), used))
    }
}

/// The axis of `stack` along which the slices of the wished plane follow one another.
fn axis(plane: Option<&str>, stack: &Stack) -> anyhow::Result<Axis> {
    let Some(plane) = plane else { return Ok(stack.axis) };
    anyhow::ensure!(stack.is_volume(), "--plane {plane}: the image is no volume, so that it has one plane only");
    let axes = stack.about.axes();
    let numbered = plane.parse::<usize>().ok().and_then(|number| Axis::ALL.get(number.checked_sub(1)?).copied());
    let named = || Axis::ALL.into_iter().find(|axis| axis.title(axes).eq_ignore_ascii_case(plane));
    let unknown = || format!("--plane {plane}: the file does not tell the sides of the patient. Give 1, 2 or 3");
    numbered.or_else(named).with_context(unknown)
}

/// The label's mask in the model's classes.
fn matched(label: &LabelStack, options: &SweepOptions, plain: &Subject) -> anyhow::Result<(Mask, LabelUse)> {
    let classes: Vec<&str> = plain.model.card().classes.iter().map(|c| c.name.as_str()).collect();
    let slice = options.case.slice();
    let few = "the label has fewer slices than the image, or another size";
    let map = match &options.case.label_map {
        Some(text) => LabelMap::parse(text, &classes).context("--label-map")?,
        None => label.guess(slice, classes.len(), &plain.clean.predicted).context(few)?,
    };
    let mask = label.mask(slice, &map).context(few)?;
    let used = LabelUse { map: Some(map.to_text(&classes)), guessed: options.case.label_map.is_none() };
    anyhow::ensure!(
        !mask.is_all_ignored(),
        "no pixel of the label is of a class: the map {} leaves out every value of slice {slice}",
        map.to_text(&classes)
    );
    Ok((mask, used))
}

fn provenance(options: &SweepOptions, attack: Attack, subject: &Subject, label: &LabelUse, device: &str) -> Provenance {
    let case = &subject.case;
    let image = &case.image;
    let card: &ModelCard = subject.model.card();
    let shown = |path: &Option<PathBuf>, bundled: &str| {
        path.as_ref().map_or(bundled.to_owned(), |path| path.display().to_string())
    };
    let mut facts = Provenance { command: options.command(), ..Provenance::default() };
    facts.add("image", shown(&options.image, &format!("{} (bundled with the program)", data::BUNDLED_SAMPLE_NAME)));
    let stored = if case.provenance.slices > 1 {
        format!("slice {} of {} (from 0), ", case.provenance.slice, case.provenance.slices)
    } else {
        String::new()
    };
    let channels = if image.channels == 1 { "grey".to_owned() } else { format!("{} channels", image.channels) };
    facts.add(
        "pixels",
        format!(
            "{stored}{}×{} {channels}, {}; bounds {} to {}",
            image.width,
            image.height,
            case.stored.name(),
            case.bounds.lower,
            case.bounds.upper
        ),
    );
    if let Some(map) = &label.map {
        facts.add("label", shown(&options.case.label, "bundled with the sample"));
        let how = if label.guessed { "guessed by agreement with the clean prediction" } else { "as given" };
        facts.add("label values", format!("{map} ({how})"));
    }
    facts.add(
        "reference",
        match subject.reference_kind {
            Reference::Label => "the label: the attack raises the loss against it, and all measures compare with it",
            Reference::CleanPrediction => "the model’s own prediction on the original, since there is no label",
        },
    );
    facts.add("model", format!("{}: {}", card.name, card.description));
    facts.add("weights", shown(&options.model.model, "bundled with the program"));
    facts.add("device", device);
    facts.add("attack", attack.summary());
    if let Some(region) = &subject.region {
        facts.add("confined to", format!("{}; attack and control change nothing outside of it", region.describe()));
    }
    facts.add("ε", options.epsilons.clone());
    facts.add("control", format!("random sign, seed {}", options.seed));
    facts.add("shown", options.seen.shown());
    facts.add("made by", format!("Epsiloscope {}, {}", env!("CARGO_PKG_VERSION"), utc_now()));
    facts
}

/// What is said at the end, on the standard output.
fn summary(curve: &Curve, options: &SweepOptions) -> String {
    let title = attack::find(options.attack).map_or(options.attack, |e| e.title);
    let clean = curve.clean.overlap.dice;
    let intervals = broken_intervals(curve, options.broken_below);
    let verdict = match intervals.first() {
        Some(first) => {
            let dice = |points: &[crate::study::CurvePoint]| {
                points.iter().find(|p| p.epsilon == first.first).map_or(f64::NAN, |p| p.measure.overlap.dice)
            };
            format!(
                "{title} breaks it at ε = {}: Dice {clean:.3} → {:.3}, random sign {:.3}",
                epsilon::both(first.first),
                dice(&curve.points),
                dice(&curve.control)
            )
        }
        None if options.broken_below.clean_fails(&curve.clean) => format!(
            "the model fails on this image before any attack (clean Dice {clean:.3}); if the label's values were mixed \
             up, say what they mean with --label-map"
        ),
        None => format!("{title} breaks it at none of the measured ε (clean Dice {clean:.3})"),
    };
    format!("{verdict}\nbroken: {}\nreport: {}\n", options.broken_below, options.out.join("report.html").display())
}
