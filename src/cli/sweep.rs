//! `epsiloscope sweep`: the window's main job without a window.

use super::images::tell_tiles;
use super::options::{CaseOptions, DeviceOptions, ModelOptions, keep_to, print};
use super::perceptibility::SeenOptions;
use super::progress::Progress;
use super::sweep_many::{self, ManyOptions};
use crate::attack::{self, Attack, CATALOG, EpsilonMeaning, Norm, Reference};
use crate::data::{self, Axis, Bounds, Case, ClassLabel, LabelMap, LabelStack, Mask, Region, Stack};
use crate::gpu::Compute;
use crate::model::{self, BuiltIn, Model, ModelCard, Task};
use crate::study::campaign::Wish;
use crate::study::report::{
    Criterion, Provenance, Settings, broken_intervals, build_report, check_writable, epsilon, finds, size_words,
    utc_now,
};
use crate::study::{Adversary, Curve, CurvePoint, Subject, SweepPlan, Truth, sweep};
use anyhow::{Context, bail, ensure};
use burn::tensor::Device;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The default grid of `methods` and the clean image.
pub(super) const DEFAULT_EPSILONS: &str = "0,0.25/255,0.5/255,1/255,2/255,4/255,8/255,16/255,32/255";

/// Arguments of `epsiloscope sweep`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SweepOptions {
    /// The image: PNG, JPEG, BMP, WebP, TIFF, DICOM (a file, or a folder with a series), NIfTI, NumPy,
    /// idx or CIFAR-10. Without it, the bundled sample with its label. Several images, folders (data sets) or files of several
    /// images with --count make a campaign: one table over all of them.
    #[arg(value_name = "IMAGE|FOLDER")]
    pub(super) images: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) case: CaseOptions,
    /// The plane in which a volume is sliced: axial, coronal or sagittal where the file tells the sides of the patient, or 1
    /// (as it is stored), 2 (along its rows) or 3 (along its columns).
    #[arg(long, value_name = "PLANE", value_parser = ["axial", "coronal", "sagittal", "1", "2", "3"])]
    pub(super) plane: Option<String>,
    /// The model: .onnx, .safetensors, .bpk, .pt or .pth, with its card (.toml of the same name, or model.toml) beside it.
    /// Without a model, the bundled membrane model. Several (--model A --model B): what is made on one is judged on all.
    #[arg(long = "model", value_name = "WEIGHTS")]
    pub(super) models: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) device: DeviceOptions,
    /// The attack; `epsiloscope attacks` explains them. Several: --attack fgsm,pgd
    #[arg(long = "attack", value_name = "NAME,…", default_value = "fgsm", value_delimiter = ',', value_parser = attack_parser())]
    pub(super) attacks: Vec<&'static str>,
    /// ε as fractions of the bounds' width: decimals, fractions (2/255) and inclusive ranges (0..0.9:0.1), separated by
    /// commas. 0 is always measured.
    #[arg(long, value_name = "LIST", default_value = DEFAULT_EPSILONS, allow_hyphen_values = true)]
    pub(super) epsilons: String,
    /// What counts as broken: Dice below a share of the clean Dice (75%), or below a value (0.7); of a model that classifies
    /// always a wrong decision; with a target, target:0.5 is half of what is to change (1 for a class).
    #[arg(long, value_name = "DICE", default_value = "75%")]
    pub(super) broken_below: Criterion,
    /// What the attack wishes: class:3 or class:NAME, erase:CLASS (the class is gone from the mask), or a mask.
    #[arg(long, value_name = "class:N|erase:CLASS|MASK")]
    pub(super) target: Option<String>,
    /// A target of the program's choosing: of classes the second most probable one, of masks that the positive class is gone.
    #[arg(long, conflicts_with = "target")]
    pub(super) targeted: bool,
    /// Change only this part of the image: a rectangle in pixels, or a mask of the image's size, in which everything but 0
    /// belongs to it. The control is confined to it too.
    #[arg(long, value_name = "X,Y,W,H|MASK")]
    pub(super) region: Option<String>,
    #[command(flatten)]
    pub(super) seen: SeenOptions,
    /// A parameter of the attack: `--set steps=20`, of one of several attacks `--set pgd.steps=20`. `epsiloscope attacks` lists
    /// them with their ranges and defaults.
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',', help_heading = None::<&'static str>)]
    pub(super) set: Vec<String>,
    /// Seed of the random signs, and of the attack. Several: --seed 0,1,2; an attack that draws nothing runs with the first only
    #[arg(long = "seed", default_value = "0", value_delimiter = ',', help_heading = None::<&'static str>)]
    pub(super) seeds: Vec<u64>,
    #[command(flatten)]
    pub(super) many: ManyOptions,
    /// The folder for curve.csv, curve.svg, curve.png, a panel-….png for each ε and report.html; of a campaign for rows.csv,
    /// summary.csv, campaign.html and, with --unseen, windows.csv. Made if it does not exist; files of an earlier run in it are replaced, but for rows.csv: a
    /// campaign goes on where it was.
    #[arg(long, value_name = "DIR", help_heading = None::<&'static str>)]
    pub(super) out: PathBuf,
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
            images: image.into_iter().collect(),
            case,
            plane: None,
            models: model.model.into_iter().collect(),
            device,
            attacks: vec!["fgsm"],
            epsilons: DEFAULT_EPSILONS.to_owned(),
            broken_below: Criterion::default(),
            target: None,
            targeted: false,
            region: None,
            seen: SeenOptions::default(),
            set: Vec::new(),
            seeds: vec![0],
            many: ManyOptions::default(),
            out: out.to_owned(),
        }
    }

    /// The attacks with their settings: those that name the attack, and those that name none, of which each must be a parameter
    /// of some attack.
    pub(super) fn methods(&self) -> anyhow::Result<Vec<Attack>> {
        let several = self.attacks.len() > 1;
        let mut used = vec![false; self.set.len()];
        let mut methods = Vec::new();
        for name in &self.attacks {
            let plain = Attack::named(name)?;
            let mut own = Vec::new();
            for (setting, used) in self.set.iter().zip(&mut used) {
                let parameter = setting.split_once('=').map_or(setting.as_str(), |(key, _)| key).trim();
                let wanted = match parameter.split_once('.') {
                    Some((of, _)) if of == *name => Some(&setting[setting.find('.').map_or(0, |at| at + 1)..]),
                    Some(_) => None,
                    // Of a single attack a parameter that it has not is a mistake, which parsing explains.
                    None => (!several || plain.get(parameter).is_some()).then_some(setting.as_str()),
                };
                if let Some(setting) = wanted {
                    own.push(setting);
                    *used = true;
                }
            }
            methods.push(Attack::parse(name, &own)?);
        }
        if let Some(at) = used.iter().position(|used| !used) {
            bail!("--set {}: none of the attacks {} has it", self.set[at], self.attacks.join(", "));
        }
        Ok(methods)
    }

    /// The one attack with its seed.
    fn method(&self) -> anyhow::Result<Attack> {
        let attack = self.methods()?.into_iter().next().context("--attack: give one")?;
        let seeded = attack.get("seed").is_some() && !self.set.iter().any(|s| s.trim().starts_with("seed"));
        Ok(if seeded { attack.with("seed", self.seed() as f64)? } else { attack })
    }

    fn seed(&self) -> u64 {
        self.seeds.first().copied().unwrap_or(0)
    }

    fn image(&self) -> Option<&PathBuf> {
        self.images.first()
    }

    /// Whether there is more than one image on one model under one attack.
    fn is_campaign(&self) -> bool {
        let folder = |path: &PathBuf| path.is_dir() && data::open(path, &AtomicBool::new(false)).is_err();
        [self.images.len(), self.models.len(), self.attacks.len(), self.seeds.len()].iter().any(|n| *n > 1)
            || self.many.count.is_some()
            || self.images.iter().any(folder)
    }

    /// The command that does the same again.
    pub(super) fn command(&self) -> String {
        let mut words = vec!["epsiloscope".to_owned(), "sweep".to_owned()];
        let mut option = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                words.extend((!name.is_empty()).then(|| name.to_owned()));
                words.push(quoted(&value));
            }
        };
        let path = |path: &Option<PathBuf>| path.as_ref().map(|p| p.display().to_string());
        self.images.iter().for_each(|image| option("", Some(image.display().to_string())));
        option("--label", path(&self.case.label));
        option("--label-map", self.case.label_map.clone());
        let bounds = self.case.bounds.map(|b| format!("{},{}", b.lower, b.upper));
        option("--bounds", bounds);
        option("--slice", self.case.slice.map(|slice| slice.to_string()));
        option("--plane", self.plane.clone());
        self.models.iter().for_each(|model| option("--model", Some(model.display().to_string())));
        option("--device", Some(self.device.device.name().to_owned()));
        option("--attack", Some(self.attacks.join(",")));
        option("--set", (!self.set.is_empty()).then(|| self.set.join(",")));
        option("--epsilons", Some(self.epsilons.clone()));
        option("--broken-below", Some(self.broken_below.to_text()));
        option("--target", self.target.clone());
        option("", self.targeted.then(|| "--targeted".to_owned()));
        option("--region", self.region.clone());
        self.seen.words().into_iter().for_each(|(name, value)| option(name, value));
        let seeds: Vec<String> = self.seeds.iter().map(u64::to_string).collect();
        option("--seed", Some(seeds.join(",")));
        self.many.words().into_iter().for_each(|(name, value)| option(name, value));
        option("--out", Some(self.out.display().to_string()));
        words.join(" ")
    }
}

/// As a shell wants it.
pub(super) fn quoted(word: &str) -> String {
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
    let plan = SweepPlan { control_seed: options.seed(), seen, ..SweepPlan::exactly(epsilons) };
    let mut progress = Progress::new("measured");
    method.check_reference(subject.reference_kind)?;
    let adversary = Arc::new(Adversary::new(subject.clone(), method)?);
    let curve = sweep(adversary.clone(), &plan, |done, total| progress.step(done, total))?;
    let mut progress = Progress::new("drawn");
    let provenance = provenance(options, method, &subject, &label, &backend.info.description);
    let window = options.seen.window(&curve, criterion, &observed);
    let notes = label.notes().into_iter().chain(window.clone()).collect();
    let settings = Settings { criterion, provenance, observed, notes };
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
pub(super) fn parse_epsilons(text: &str, attacks: &[Attack]) -> anyhow::Result<Vec<f64>> {
    let l2 = attacks.iter().any(|attack| attack.norm() == Some(Norm::L2));
    let list = if l2 { epsilon::parse_list_up_to(text, f64::INFINITY) } else { epsilon::parse_list(text) };
    let list = list.context("--epsilons")?;
    let others = attacks.iter().filter(|a| a.entry().epsilon != EpsilonMeaning::Found && a.norm() != Some(Norm::L2));
    if let (Some(beyond), Some(other)) = (list.iter().find(|e| **e > 1.0), others.last()) {
        bail!(
            "--epsilons: {beyond} is beyond 1, and for {} ε is a fraction of the bounds’ width; only an L2 norm may be larger. Without \
             --epsilons each attack has the grid of its norm; or give the attacks in L2 a command of their own, into the same --out",
            other.title()
        );
    }
    Ok(list)
}

/// What counts as failing for a model of `task`, if attacks have a target.
pub(super) fn criterion(asked: Criterion, task: Task, target: bool) -> anyhow::Result<Criterion> {
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

pub(super) fn load_model(path: Option<&Path>, device: &Device) -> anyhow::Result<Arc<dyn Model>> {
    Ok(match path {
        Some(path) => model::open(path, device)?,
        None => Arc::new(BuiltIn::bundled(device)?),
    })
}

/// An image with its label, before a model has seen them.
struct Opened {
    stack: Stack,
    label: Option<LabelStack>,
    /// `class:N` or `class:NAME`, in place of what the file says.
    class: Option<String>,
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
        let (stack, mut label) = match options.image() {
            Some(path) => (data::open(path, &never)?, None),
            None => {
                let (stack, label) = data::bundled_sample()?;
                (stack, Some(label))
            }
        };
        let mut class = None;
        if let Some(path) = &options.case.label {
            class = path.to_str().and_then(|text| text.strip_prefix("class:")).map(str::to_owned);
            label = if class.is_none() { Some(LabelStack::open(path, &never)?) } else { None };
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
        let name = match options.image() {
            Some(path) => path.file_stem().map_or("image".to_owned(), |n| n.to_string_lossy().into_owned()),
            None => data::BUNDLED_SAMPLE_NAME.to_owned(),
        };
        let name = if stack.slices > 1 { format!("{name}, slice {}", options.case.slice()) } else { name };
        Ok(Self { stack, label, class, name })
    }

    /// The case on the model, with the label's values matched to the model's classes.
    fn subject(&self, options: &SweepOptions, model: Arc<dyn Model>) -> anyhow::Result<(Subject, LabelUse)> {
        let needed = model.card().input.needed_bounds().filter(|_| options.case.bounds.is_none());
        let bounded = match needed.map(|[lower, upper]| Bounds { lower, upper }) {
            Some(bounds) if bounds != self.stack.bounds => Some(self.stack.with_bounds(bounds)?),
            _ => None,
        };
        let stack = bounded.as_ref().unwrap_or(&self.stack);
        let mut case = Case::from_slice(stack, options.case.slice(), self.name.clone())?;
        if let Some(text) = &self.class {
            ensure!(model.card().task == Task::Classification, "--label class:{text}: the model segments; give a mask");
            let index = u16::try_from(class_index(model.card(), text).context("--label")?)?;
            case.class = Some(ClassLabel { index, name: None });
        }
        let case = Arc::new(case);
        let on = || options.image().as_ref().map_or(self.name.clone(), |path| path.display().to_string());
        let plain = Subject::new(case, model).with_context(on)?;
        let [height, width] = plain.case.size();
        let region = options.region.as_ref().map(|text| Region::parse(text, height, width));
        let region = region.transpose().context("--region")?;
        let (subject, used) = match &self.label {
            Some(label) if plain.class.is_none() => {
                let (mask, used) = matched(label, options, &plain)?;
                (plain.relabel(Some(mask)).with_context(on)?, used)
            }
            _ => (plain, LabelUse::default()),
        };
        let target = target(options, &subject)?;
        Ok((subject.with_target(target).context("--target")?.confined(region), used))
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

/// The class that `text` means: its number or its name.
pub(super) fn class_index(card: &ModelCard, text: &str) -> anyhow::Result<usize> {
    let known = card.classes.len();
    let named = card.classes.iter().position(|class| class.name.eq_ignore_ascii_case(text));
    let class = named.or_else(|| text.parse().ok().filter(|class| *class < known));
    class.with_context(|| {
        let names: Vec<&str> = card.classes.iter().take(20).map(|c| c.name.as_str()).collect();
        format!("there is no class {text}; the model has {known}, the first is 0: {}", names.join(", "))
    })
}

/// What attacks wish of any image, where it is no mask.
pub(super) fn wish(options: &SweepOptions, card: &ModelCard) -> anyhow::Result<Option<Wish>> {
    let Some(text) = &options.target else {
        return Ok(Some(if options.targeted { Wish::Nearest } else { Wish::Untargeted }));
    };
    if let Some(class) = text.strip_prefix("class:") {
        return Ok(Some(Wish::Class(class_index(card, class).context("--target")?)));
    }
    if let Some(class) = text.strip_prefix("erase:") {
        ensure!(card.task == Task::Segmentation, "--target {text}: only a model that segments has a class to erase");
        return Ok(Some(Wish::Erase(u8::try_from(class_index(card, class).context("--target")?)?)));
    }
    Ok(None)
}

/// The target of one image.
fn target(options: &SweepOptions, subject: &Subject) -> anyhow::Result<Option<Truth>> {
    if let Some(wish) = wish(options, subject.model.card())? {
        return Ok(wish.target(subject));
    }
    let path = options.target.as_deref().unwrap_or_default();
    ensure!(subject.class.is_none(), "--target {path}: the model classifies; write class:N");
    let label = LabelStack::open(Path::new(path), &AtomicBool::new(false)).context("--target")?;
    let (mask, _) = matched(&label, options, subject).context("--target")?;
    Ok(Some(Truth::Mask(mask)))
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
    facts.add(
        "image",
        shown(&options.image().cloned(), &format!("{} (bundled with the program)", data::BUNDLED_SAMPLE_NAME)),
    );
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
    if let Some(class) = subject.class {
        facts.add("class", format!("{class}, {}", card.class_name(class)));
    }
    if let Some(target) = &subject.target {
        facts.add(
            "target",
            match target {
                Truth::Class(class) => format!("class {class}, {}", card.class_name(*class)),
                Truth::Mask(_) => options.target.clone().unwrap_or_else(|| "the positive class is gone".to_owned()),
            },
        );
    }
    facts.add("model", format!("{}: {}", card.name, card.description));
    facts.add("weights", shown(&options.models.first().cloned(), "bundled with the program"));
    facts.add("device", device);
    if let Ok(Some(tiles)) = subject.model.tiles(image.height, image.width) {
        facts.add("tiles", tiles.to_string());
    }
    facts.add("attack", attack.summary());
    if let Some(region) = &subject.region {
        facts.add("confined to", format!("{}; attack and control change nothing outside of it", region.describe()));
    }
    facts.add("ε", options.epsilons.clone());
    facts.add("control", format!("{}, seed {}", attack.control_words(), options.seed()));
    facts.add("shown", options.seen.shown());
    facts.add("made by", format!("Epsiloscope {}, {}", env!("CARGO_PKG_VERSION"), utc_now()));
    facts
}

/// What is said at the end, on the standard output.
fn summary(curve: &Curve, method: Attack, options: &SweepOptions, criterion: Criterion, subject: &Subject) -> String {
    let title = attack::find(&curve.attack).map_or(curve.attack.as_str(), |e| e.title);
    let (clean, name) = (curve.clean.score(), curve.clean.score_name());
    let control = method.control_words();
    let intervals = broken_intervals(curve, criterion);
    let verdict = match intervals.first() {
        Some(first) => {
            let at = |points: &[CurvePoint]| points.iter().find(|p| p.epsilon == first.first).map(|p| p.measure);
            let score = |points: &[CurvePoint]| at(points).map_or(f64::NAN, |m| m.score());
            let decision = at(&curve.points).and_then(|m| m.decision).map_or(String::new(), |d| {
                let card = subject.model.card();
                format!("{} becomes {}; ", card.class_name(d.truth), card.class_name(d.predicted))
            });
            format!(
                "{title} breaks it {}: {decision}{name} {clean:.3} → {:.3}, {control} {:.3}",
                size_words(curve, first.first, epsilon::both),
                score(&curve.points),
                score(&curve.control)
            )
        }
        None if criterion.clean_fails(&curve.clean) => match curve.clean.decision {
            Some(d) => format!(
                "the model is wrong on this image before any attack: it says {} of {}",
                subject.model.card().class_name(d.predicted),
                subject.model.card().class_name(d.truth)
            ),
            None => format!(
                "the model fails on this image before any attack (clean Dice {clean:.3}); if the label's values were mixed \
                 up, say what they mean with --label-map"
            ),
        },
        None if finds(curve) => {
            let reached = curve.points.last().map_or(clean, |p| p.measure.score());
            format!("what {title} found does not break it ({name} {clean:.3} → {reached:.3})")
        }
        None => format!("{title} breaks it at none of the measured ε (clean {name} {clean:.3})"),
    };
    format!("{verdict}\nbroken: {criterion}\nreport: {}\n", options.out.join("report.html").display())
}
