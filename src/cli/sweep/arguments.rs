//! The arguments of `epsiloscope sweep`.

use crate::attack::{self, Attack, CATALOG};
use crate::cli::options::{CaseOptions, DeviceOptions, ModelOptions};
use crate::cli::perceptibility::SeenOptions;
use crate::cli::sweep_many::ManyOptions;
use crate::data;
use crate::study::report::Criterion;
use anyhow::{Context, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// The default grid of `methods` and the clean image.
pub(in crate::cli) const DEFAULT_EPSILONS: &str = "0,0.25/255,0.5/255,1/255,2/255,4/255,8/255,16/255,32/255";

/// Arguments of `epsiloscope sweep`.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct SweepOptions {
    /// The image: PNG, JPEG, BMP, WebP, TIFF, DICOM (a file, or a folder with a series), NIfTI, NumPy,
    /// idx or CIFAR-10. Without it, the bundled sample with its label. Several images, folders (data sets) or files of several
    /// images with --count make a campaign: one table over all of them.
    #[arg(value_name = "IMAGE|FOLDER")]
    pub(in crate::cli) images: Vec<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) case: CaseOptions,
    /// The plane in which a volume is sliced: axial, coronal or sagittal where the file tells the sides of the patient, or 1
    /// (as it is stored), 2 (along its rows) or 3 (along its columns).
    #[arg(long, value_name = "PLANE", value_parser = ["axial", "coronal", "sagittal", "1", "2", "3"])]
    pub(in crate::cli) plane: Option<String>,
    /// The model: .onnx, .safetensors, .bpk, .pt or .pth, with its card (.toml of the same name, or model.toml) beside it.
    /// Without a model, the bundled membrane model. Several (--model A --model B): what is made on one is judged on all.
    #[arg(long = "model", value_name = "WEIGHTS")]
    pub(in crate::cli) models: Vec<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) device: DeviceOptions,
    /// The attack; `epsiloscope attacks` explains them. Several: --attack fgsm,pgd
    #[arg(long = "attack", value_name = "NAME,…", default_value = "fgsm", value_delimiter = ',', value_parser = attack_parser())]
    pub(in crate::cli) attacks: Vec<&'static str>,
    /// ε as fractions of the bounds' width: decimals, fractions (2/255) and inclusive ranges (0..0.9:0.1), separated by
    /// commas. 0 is always measured.
    #[arg(long, value_name = "LIST", default_value = DEFAULT_EPSILONS, allow_hyphen_values = true)]
    pub(in crate::cli) epsilons: String,
    /// What counts as broken: Dice below a share of the clean Dice (75%), or below a value (0.7); error:0.1, more than a tenth of
    /// the pixels wrong; flipped:0.2, at least a fifth of them predicted otherwise than in the original; of a model that
    /// classifies always a wrong decision; with a target, target:0.5 is half of what is to change (1 for a class).
    #[arg(long, visible_alias = "broken", value_name = "DICE|error:E|flipped:S", default_value = "75%")]
    pub(in crate::cli) broken_below: Criterion,
    /// What the attack wishes: class:3 or class:NAME, erase:CLASS (the class is gone from the mask), or a mask.
    #[arg(long, value_name = "class:N|erase:CLASS|MASK")]
    pub(in crate::cli) target: Option<String>,
    /// A target of the program's choosing: of classes the second most probable one, of masks that the positive class is gone.
    #[arg(long, conflicts_with = "target")]
    pub(in crate::cli) targeted: bool,
    /// Change only this part of the image: a rectangle in pixels, or a mask of the image's size, in which everything but 0
    /// belongs to it. The control is confined to it too.
    #[arg(long, value_name = "X,Y,W,H|MASK")]
    pub(in crate::cli) region: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) seen: SeenOptions,
    /// A parameter of the attack: `--set steps=20`, of one of several attacks `--set pgd.steps=20`. `epsiloscope attacks` lists
    /// them with their ranges and defaults.
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',', help_heading = None::<&'static str>)]
    pub(in crate::cli) set: Vec<String>,
    /// Seed of the random signs, and of the attack. Several: --seed 0,1,2; an attack that draws nothing runs with the first only
    #[arg(long = "seed", default_value = "0", value_delimiter = ',', help_heading = None::<&'static str>)]
    pub(in crate::cli) seeds: Vec<u64>,
    #[command(flatten)]
    pub(in crate::cli) many: ManyOptions,
    /// The folder for curve.csv, curve.svg, curve.png, a panel-….png for each ε and report.html; of a campaign for rows.csv,
    /// summary.csv, campaign.html and, with --unseen, windows.csv. Made if it does not exist; files of an earlier run in it are replaced, but for rows.csv: a
    /// campaign goes on where it was.
    #[arg(long, value_name = "DIR", help_heading = None::<&'static str>)]
    pub(in crate::cli) out: PathBuf,
}

impl SweepOptions {
    /// The defaults for a case.
    pub(in crate::cli) fn new(
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
    pub(in crate::cli) fn methods(&self) -> anyhow::Result<Vec<Attack>> {
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
    pub(super) fn method(&self) -> anyhow::Result<Attack> {
        let attack = self.methods()?.into_iter().next().context("--attack: give one")?;
        let seeded = attack.get("seed").is_some() && !self.set.iter().any(|s| s.trim().starts_with("seed"));
        Ok(if seeded { attack.with("seed", self.seed() as f64)? } else { attack })
    }

    pub(super) fn seed(&self) -> u64 {
        self.seeds.first().copied().unwrap_or(0)
    }

    pub(super) fn image(&self) -> Option<&PathBuf> {
        self.images.first()
    }

    /// Whether there is more than one image on one model under one attack.
    pub(super) fn is_campaign(&self) -> bool {
        let folder = |path: &PathBuf| path.is_dir() && data::open(path, &AtomicBool::new(false)).is_err();
        [self.images.len(), self.models.len(), self.attacks.len(), self.seeds.len()].iter().any(|n| *n > 1)
            || self.many.count.is_some()
            || self.images.iter().any(folder)
    }

    /// The command that does the same again.
    pub(in crate::cli) fn command(&self) -> String {
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
pub(in crate::cli) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Reads the name of an attack.
pub(in crate::cli) fn attack_parser() -> impl TypedValueParser<Value = &'static str> {
    PossibleValuesParser::new(CATALOG.iter().map(|entry| entry.name))
        .map(|name| attack::find(&name).map_or("fgsm", |entry| entry.name))
}
