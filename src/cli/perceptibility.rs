//! Arguments on what is seen: how the image is shown, which metrics compare it, and from where on it counts as seen.

use super::options::parse_bounds;
use crate::attack::Attack;
use crate::data::{Bounds, Case, Fnv};
use crate::observer::{Measured, read_thresholds};
use crate::study::campaign::{CampaignModel, Row};
use crate::study::report::{Criterion, Observed, epsilon};
use crate::study::{Curve, EpsilonWindow, Limit, SeenMetric, SeenPlan, SeenWanted, windows_by_metric};
use crate::view::Presentation;
use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What is not seen, as typed.
#[derive(Clone, Debug, PartialEq)]
enum Unseen {
    /// Up to a limit.
    Limit(Limit),
    /// Below the thresholds of a file.
    File(PathBuf),
}

impl FromStr for Unseen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(limit) => Ok(Self::Limit(limit)),
            Err(_) if Path::new(text).is_file() => Ok(Self::File(text.into())),
            Err(_) if text.ends_with(".csv") => Err(format!("{text}: there is no such file")),
            Err(error) => Err(error),
        }
    }
}

/// What is seen.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "What is seen")]
pub(super) struct SeenOptions {
    /// Up to where a perturbation is not seen, to find the ε that break the model unseen (of several images: of each, with
    /// median and quartiles over all): a metric with its limit (ssim:0.98,
    /// flip:0.05, butteraugli:1), an ε (epsilon:4/255), or the thresholds of observers: thresholds.csv as `epsiloscope observer fit --out`
    /// writes it, or a table of trials. Of several observers the one who sees most counts.
    #[arg(long, value_name = "METRIC:LIMIT|FILE")]
    unseen: Option<Unseen>,
    /// Metrics to measure beside PSNR and SSIM: gmsd, haarpsi, ms-ssim, vif, flip, butteraugli, ciede2000. The ε window by the usual limit
    /// of each is told beside that of --unseen.
    #[arg(long, value_name = "METRIC,…", value_delimiter = ',')]
    metrics: Vec<SeenMetric>,
    /// The pixel values that the screen shows black and white. Without it, the bounds.
    #[arg(long, value_name = "LOWER,UPPER", value_parser = parse_bounds, allow_hyphen_values = true)]
    shown_window: Option<Bounds>,
    /// Large values are shown dark (DICOM's MONOCHROME1).
    #[arg(long)]
    shown_inverted: bool,
    /// Bits of the screen.
    #[arg(long, value_name = "BITS", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=16))]
    shown_bits: u8,
    /// Image pixels in a degree of visual angle, for FLIP.
    #[arg(long, value_name = "PIXELS", default_value_t = 67.0)]
    pixels_per_degree: f64,
}

impl Default for SeenOptions {
    fn default() -> Self {
        Self {
            unseen: None,
            metrics: Vec::new(),
            shown_window: None,
            shown_inverted: false,
            shown_bits: 8,
            pixels_per_degree: 67.0,
        }
    }
}

impl SeenOptions {
    /// What is to be measured of a case with `bounds`.
    ///
    /// # Errors
    /// If the window is empty, or nobody sits at such a distance.
    pub fn plan(&self, bounds: Bounds) -> anyhow::Result<SeenPlan> {
        Ok(self.wanted()?.plan(bounds))
    }

    /// Whether anything is to be measured of many images: it takes time, so that it has to be asked for.
    pub fn is_asked_for(&self) -> bool {
        self.unseen.is_some() || !self.metrics.is_empty()
    }

    /// Up to where nothing is seen, if that was said.
    pub fn limit(&self) -> Option<Limit> {
        match self.unseen {
            Some(Unseen::Limit(limit)) => Some(limit),
            _ => None,
        }
    }

    /// The same, or what the first of the thresholds of the file says.
    pub fn limit_with(&self, observed: &[Observed]) -> Option<Limit> {
        let measured = |o: &Observed| Limit::Threshold { epsilon: o.line.epsilon, interval: Some(o.line.interval) };
        self.limit().or(observed.first().map(measured))
    }

    /// The thresholds of the file that was given for what is not seen, those of `case` under `attack` with what differs; the lowest
    /// first.
    ///
    /// # Errors
    /// If the file cannot be read, or holds no threshold of this attack that was reached.
    pub fn observed(&self, case: &Case, model: &str, attack: Attack) -> anyhow::Result<Vec<Observed>> {
        let Some(Unseen::File(path)) = &self.unseen else { return Ok(Vec::new()) };
        let all = read_thresholds(path)?;
        let mut reached: Vec<&Measured> = all.iter().filter(|t| t.is_reached() && t.attack == attack.name()).collect();
        anyhow::ensure!(
            !reached.is_empty(),
            "{}: {}",
            path.display(),
            without_threshold(&all, &[attack.name()], attack.name())
        );
        let of_image = |t: &&Measured| t.image == case.name;
        if reached.iter().any(&of_image) {
            reached.retain(of_image);
        }
        anyhow::ensure!(
            reached.iter().all(|t| t.image == reached[0].image),
            "{}: holds thresholds of several images, none of which is {}: {}",
            path.display(),
            case.name,
            distinct(reached.iter().map(|t| t.image.as_str()))
        );
        let wanted = self.wanted_of(Vec::new()).plan(case.bounds).presentation;
        let pixels = Fnv::of_bits(case.image.pixels.iter().map(|value| value.to_bits())).text();
        let differs = |t: &Measured| -> Vec<String> {
            let same = [
                ("image", t.image == case.name && told(t, "pixels", &pixels)),
                ("slice", told(t, "slice", &case.provenance.slice.to_string())),
                ("model", told(t, "model", model)),
                ("parameters of the attack", told(t, "parameters", &attack.summary())),
                ("window", same_window(t, &wanted)),
                ("inversion", told(t, "inverted", &wanted.inverted.to_string())),
                ("bit depth", told(t, "bit_depth", &wanted.bits.to_string())),
            ];
            same.into_iter().filter(|(_, same)| !same).map(|(name, _)| name.to_owned()).collect()
        };
        // Those of the same setting first, of these the lowest.
        let mut found: Vec<(&Measured, Vec<String>)> = reached.iter().map(|t| (*t, differs(t))).collect();
        found
            .sort_by(|a, b| (a.1.len(), a.0.epsilon).partial_cmp(&(b.1.len(), b.0.epsilon)).unwrap_or(Ordering::Equal));
        let observed = |(t, differs): (&Measured, Vec<String>)| Observed {
            line: t.line(),
            what: [t.image.clone(), t.attack.clone(), t.task.name().to_owned()],
            trials: t.trials,
            setting: t.setting.facts().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            differs,
        };
        Ok(found.into_iter().map(observed).collect())
    }

    /// Up to where nothing is seen in each row of a campaign, with that in words; `None` if nothing was said. Of a file an image and
    /// attack have the lowest threshold that was measured of them under this screen, and none where nobody was asked.
    ///
    /// # Errors
    /// If the file cannot be read, or holds no threshold that a campaign under this screen could use.
    pub fn limits(&self, models: &[CampaignModel], attacks: &[Attack]) -> anyhow::Result<Option<RowLimits>> {
        let path = match &self.unseen {
            None => return Ok(None),
            Some(Unseen::Limit(limit)) => {
                let limit = *limit;
                let words = match limit {
                    Limit::Metric { metric, value } if value == metric.usual_limit() => {
                        format!("{limit}: {}. What a person sees a reader study measures", metric.limit_source())
                    }
                    Limit::Metric { .. } => {
                        format!("{limit}. A metric’s limit is a convention; what a person sees a reader study measures")
                    }
                    Limit::Threshold { .. } => limit.to_string(),
                };
                return Ok(Some(RowLimits { of: Box::new(move |_| Some(limit)), words }));
            }
            Some(Unseen::File(path)) => path,
        };
        anyhow::ensure!(
            self.shown_window.is_none(),
            "--unseen {}: with --shown-window thresholds of a file hold for one image; sweep them one by one",
            path.display()
        );
        let shown = self.wanted_of(Vec::new()).plan(Bounds::EIGHT_BIT).presentation;
        let parameters: Vec<(String, String)> = attacks.iter().map(|a| (a.name().to_owned(), a.summary())).collect();
        let names: Vec<(String, String)> =
            models.iter().map(|m| (m.name.clone(), m.model.card().name.clone())).collect();
        let fits = move |t: &Measured| {
            let of_attack = parameters.iter().find(|(name, _)| *name == t.attack);
            t.is_reached()
                && same_screen(t, &shown)
                && of_attack.is_some_and(|(_, summary)| told(t, "parameters", summary))
        };
        let all = read_thresholds(path)?;
        let found: Vec<Measured> = all.iter().filter(|t| fits(t)).cloned().collect();
        let wanted: Vec<&str> = attacks.iter().map(|a| a.name()).collect();
        anyhow::ensure!(!found.is_empty(), "{}: {}", path.display(), without_threshold(&all, &wanted, "these attacks"));
        let words = format!(
            "below the lower end of an observer’s threshold, for each image and attack that {} has one of ({} there; of several observers \
             the one who sees most); the others were not measured",
            path.display(),
            found.len()
        );
        let of = move |row: &Row| {
            let model = names.iter().find(|(name, _)| name == row.get("made_on")).map_or("", |(_, card)| card.as_str());
            let here =
                |t: &&Measured| is_of(t, row.get("image")) && t.attack == row.get("attack") && told(t, "model", model);
            let lowest = found.iter().filter(here).min_by(|a, b| a.interval[0].total_cmp(&b.interval[0]))?;
            Some(Limit::Threshold { epsilon: lowest.epsilon, interval: Some(lowest.interval) })
        };
        Ok(Some(RowLimits { of: Box::new(of), words }))
    }

    /// What is to be measured of images with any bounds.
    ///
    /// # Errors
    /// As of [`Self::plan`].
    pub fn wanted(&self) -> anyhow::Result<SeenWanted> {
        if let Some(Bounds { lower, upper }) = self.shown_window {
            anyhow::ensure!(lower < upper, "--shown-window: {lower} is not below {upper}");
        }
        let distance = (1.0..=1000.0).contains(&self.pixels_per_degree);
        anyhow::ensure!(distance, "--pixels-per-degree: {} is not from 1 to 1000", self.pixels_per_degree);
        let mut metrics = SeenMetric::ALWAYS.to_vec();
        let limit = match self.limit() {
            Some(Limit::Metric { metric, .. }) => Some(metric),
            _ => None,
        };
        for &metric in self.metrics.iter().chain(&limit) {
            if !metrics.contains(&metric) {
                metrics.push(metric);
            }
        }
        Ok(self.wanted_of(metrics))
    }

    /// The options that were given, with their values.
    pub fn words(&self) -> Vec<(&'static str, Option<String>)> {
        let metrics: Vec<&str> = self.metrics.iter().map(|m| m.name()).collect();
        let unseen = self.unseen.as_ref().map(|unseen| match unseen {
            Unseen::Limit(Limit::Metric { metric, value }) => format!("{}:{value}", metric.name()),
            Unseen::Limit(Limit::Threshold { epsilon, .. }) => format!("epsilon:{epsilon}"),
            Unseen::File(path) => path.display().to_string(),
        });
        let default = Self::default();
        vec![
            ("--unseen", unseen),
            ("--metrics", (!metrics.is_empty()).then(|| metrics.join(","))),
            ("--shown-window", self.shown_window.map(|b| format!("{},{}", b.lower, b.upper))),
            ("--shown-bits", (self.shown_bits != default.shown_bits).then(|| self.shown_bits.to_string())),
            (
                "--pixels-per-degree",
                (self.pixels_per_degree != default.pixels_per_degree).then(|| self.pixels_per_degree.to_string()),
            ),
            // Last: it has no value.
            ("", self.shown_inverted.then(|| "--shown-inverted".to_owned())),
        ]
    }

    fn wanted_of(&self, metrics: Vec<SeenMetric>) -> SeenWanted {
        SeenWanted {
            metrics,
            window: self.shown_window,
            inverted: self.shown_inverted,
            bits: self.shown_bits,
            pixels_per_degree: self.pixels_per_degree,
        }
    }

    /// How the image was shown, in words.
    pub fn shown(&self) -> String {
        self.wanted_of(Vec::new()).shown()
    }

    /// The ε window in words, if it was asked for; `observed` are the thresholds of the file.
    pub fn window(&self, curve: &Curve, criterion: Criterion, observed: &[Observed]) -> Option<String> {
        let window = EpsilonWindow::new(curve, criterion, self.limit_with(observed)?);
        let explanation = window.suggest().explanation;
        let said = match window.intervals(epsilon::both, " to ") {
            Some(all) => format!("Breaks the model unseen at ε = {all}. Suggested: {explanation}"),
            None => explanation,
        };
        Some(said + &by_metric(curve, criterion))
    }
}

/// The window by each metric that was measured: by which one goes decides where it is.
fn by_metric(curve: &Curve, criterion: Criterion) -> String {
    let one = |(metric, window): (SeenMetric, EpsilonWindow)| {
        let limit = Limit::Metric { metric, value: metric.usual_limit() };
        let all = window.intervals(epsilon::short, " to ");
        format!("{limit}: {}", all.unwrap_or_else(|| "none".to_owned()))
    };
    let all: Vec<String> = windows_by_metric(curve, criterion).into_iter().map(one).collect();
    format!(" By usual limits, which are conventions: {}.", all.join("; "))
}

/// Up to where nothing is seen in a row; none where nobody was asked.
type OfRow = Box<dyn Fn(&Row) -> Option<Limit>>;

/// Up to where nothing is seen, of the rows of a campaign.
pub(super) struct RowLimits {
    /// Of a row; none where nobody was asked.
    pub of: OfRow,
    /// All of it in words.
    pub words: String,
}

/// Whether a threshold is of the entry `name` of a data set: of one of several images in a file the window tells the file and the slice,
/// and a data set calls it `file 05`.
fn is_of(t: &Measured, name: &str) -> bool {
    let slice = || t.setting.get("slice")?.parse::<usize>().ok();
    let number = || name.strip_prefix(t.image.as_str())?.trim().parse::<usize>().ok();
    t.image == name || (slice().is_some() && slice() == number())
}

/// Whether what a table tells of a threshold's setting is this; what it does not tell is taken to be the same.
fn told(t: &Measured, column: &str, now: &str) -> bool {
    t.setting.get(column).is_none_or(|then| then == now)
}

fn same_window(t: &Measured, shown: &Presentation) -> bool {
    let near =
        |column: &str, now: f32| t.setting.number(column).is_none_or(|then| (then - f64::from(now)).abs() < 1e-3);
    near("window_lower", shown.window.lower) && near("window_upper", shown.window.upper)
}

fn same_screen(t: &Measured, shown: &Presentation) -> bool {
    let inverted = told(t, "inverted", &shown.inverted.to_string());
    same_window(t, shown) && inverted && told(t, "bit_depth", &shown.bits.to_string())
}

/// Why `all` thresholds hold none that could be used for `attacks`, which are called `name`.
fn without_threshold(all: &[Measured], attacks: &[&str], name: &str) -> String {
    let is_of = |t: &&Measured| attacks.contains(&t.attack.as_str());
    let others = distinct(all.iter().filter(|t| t.is_reached() && !is_of(t)).map(|t| t.attack.as_str()));
    let but = if others.is_empty() { String::new() } else { format!("; those that were are of {others}") };
    let mut own = all.iter().filter(is_of).peekable();
    if own.peek().is_none() {
        let but = if others.is_empty() { String::new() } else { format!(", but of {others}") };
        return format!("holds no threshold of {name}{but}");
    }
    if own.any(Measured::is_reached) {
        return format!(
            "holds no threshold of {name} that was measured with these parameters, under this window and so many bits"
        );
    }
    format!(
        "no threshold of {} was reached within the ε shown{but}. More trials or a larger ε may find one",
        distinct(all.iter().filter(is_of).map(|t| t.attack.as_str()))
    )
}

/// Each name once.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut all: Vec<&str> = names.collect();
    all.sort_unstable();
    all.dedup();
    all.join(", ")
}
