//! Can it be seen? What a screen shows of the present perturbation in numbers, maps and curves; the ε that break the model and
//! are not seen; and ways of looking closely.
//!
//! Metrics are measured by the engine on the displayed image ([`Presentation`]) and on the stored one; nothing is computed here but
//! intervals of measured points.

mod apply;
pub mod closely;
pub mod epsilon_window;
mod inspector;
pub mod map;

pub use inspector::{definition, inspector_ui, value_text};

use super::state::{LiveCurve, State};
use crate::engine::{FigureWish, Frame, SeenFound, SeenMap, SeenWish};
use crate::observer::{Calibration, Measured};
use crate::study::report::Criterion;
use crate::study::{Curve, EpsilonWindow, Limit, SeenMetric, SeenPlan};
use crate::view::{Presentation, Window};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// FLIP's evaluator takes this for granted: a 24″ screen of 4K seen from 0.7 m.
pub const USUAL_PIXELS_PER_DEGREE: f64 = 67.0;

/// What a person chose; it survives a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SeenSettings {
    /// Metrics are measured and shown in the inspector.
    pub open: bool,
    /// What counts as broken.
    pub criterion: Criterion,
    /// The metric that tells what is not seen.
    pub metric: SeenMetric,
    /// Up to this value of it nothing is seen.
    pub value: f64,
    /// Every metric is measured along the curve, to see what each calls unseen.
    pub all_metrics: bool,
    /// An observer's measured threshold decides instead, where there is one of this image and attack.
    pub by_observer: bool,
    /// The intervals are shaded on the plots.
    pub shade: bool,
    /// Bits of grey that the screen shows.
    pub bits: u8,
    /// Image pixels in a degree of visual angle, unless screen and distance were measured.
    pub pixels_per_degree: f64,
    /// How large the screen's pixels are, once measured with a bank card.
    pub calibration: Option<Calibration>,
    /// From the eye to the screen, in mm.
    pub distance_mm: f64,
    /// The map that is shown in place of the noise.
    pub map: Option<SeenMap>,
    /// Blinking faster than [`closely::MOST_HZ`] is allowed.
    pub fast_blink: bool,
}

impl Default for SeenSettings {
    fn default() -> Self {
        Self {
            open: true,
            criterion: Criterion::default(),
            // The only one whose authors say what is just noticeable.
            metric: SeenMetric::Butteraugli,
            value: SeenMetric::Butteraugli.usual_limit(),
            all_metrics: false,
            by_observer: true,
            shade: true,
            bits: 8,
            pixels_per_degree: USUAL_PIXELS_PER_DEGREE,
            calibration: None,
            distance_mm: 600.0,
            map: None,
            fast_blink: false,
        }
    }
}

impl SeenSettings {
    /// Mends values that a settings file of another hand may hold.
    pub fn sanitised(mut self) -> Self {
        self.bits = self.bits.clamp(1, 16);
        let sane = |v: f64, least: f64, most: f64, usual: f64| if v.is_finite() { v.clamp(least, most) } else { usual };
        self.pixels_per_degree = sane(self.pixels_per_degree, 1.0, 1000.0, USUAL_PIXELS_PER_DEGREE);
        self.distance_mm = sane(self.distance_mm, 100.0, 10_000.0, 600.0);
        if !self.value.is_finite() {
            self.value = self.metric.usual_limit();
        }
        self.calibration = self.calibration.filter(|c| (1.0..=100.0).contains(&c.pixels_per_mm));
        self
    }
}

/// What the window knows of what is seen.
#[derive(Debug, Default)]
pub struct SeenState {
    /// What a person chose.
    pub settings: SeenSettings,
    /// The newest measures.
    pub found: Option<Arc<SeenFound>>,
    /// What was asked for last.
    wished: Option<SeenWish>,
    /// What the curve is measured with.
    told: SeenPlan,
    /// What the curve is to be measured with, and since when.
    next: Option<(SeenPlan, f64)>,
    /// A key shows the originals in place of the adversarial pictures.
    pub toggled: bool,
    /// Original and adversarial image, and nobody knows which is which.
    pub blind: Option<closely::Blind>,
    /// Thresholds that observers were measured to have.
    pub thresholds: Vec<Measured>,
}

/// What a person asked for.
#[derive(Clone, Debug)]
pub enum SeenCommand {
    /// Change what was chosen: a changed copy.
    Set(Box<SeenSettings>),
    /// Show the originals in place of the adversarial pictures, or these again.
    Toggle,
    /// Begin with, go on with, or end the blind comparison.
    Blind(closely::BlindStep),
    /// These thresholds were measured.
    Thresholds(Vec<Measured>),
}

impl SeenState {
    /// With what was chosen before.
    pub fn new(settings: SeenSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Whether the newest measures are of `frame`.
    pub fn of<'a>(&'a self, frame: &Frame) -> Option<&'a SeenFound> {
        let ids = [frame.original.id, frame.adversarial.id];
        self.found.as_deref().filter(|f| [f.wish.original.id, f.wish.adversarial.id] == ids)
    }

    /// Image pixels in a degree of visual angle at a magnification of `zoom` screen pixels per image pixel.
    pub fn pixels_per_degree(&self, zoom: f64) -> f64 {
        match self.settings.calibration {
            Some(calibration) => {
                (calibration.pixels_per_degree(self.settings.distance_mm) / zoom.max(1e-3)).clamp(1.0, 1000.0)
            }
            None => self.settings.pixels_per_degree,
        }
    }
}

impl State {
    /// How the image is put on the screen now.
    pub fn presentation(&self) -> Presentation {
        let [lower, upper] = self.view.window;
        Presentation { window: Window { lower, upper }, inverted: false, bits: self.seen.settings.bits }
    }

    /// Image pixels in a degree of visual angle as the pictures are shown now. A picture that fits its place is taken for
    /// one that is shown pixel by pixel: its size on the screen changes with every panel that is moved.
    pub fn pixels_per_degree(&self) -> f64 {
        self.seen.pixels_per_degree(f64::from(self.navigation.zoom.unwrap_or(1.0)))
    }

    /// The measured threshold of the present image, slice, model and attack under the present window: of several observers that of
    /// the one who sees most. What a table does not tell is taken to be the same.
    pub fn threshold(&self) -> Option<&Measured> {
        let fits = self.seen.thresholds.iter().filter(|t| self.differs_from(t).is_empty());
        fits.min_by(|a, b| a.epsilon.total_cmp(&b.epsilon))
    }

    /// In what the setting of a measured threshold differs from what is on the screen.
    pub fn differs_from(&self, found: &Measured) -> Vec<&'static str> {
        let Some(case) = &self.case else { return vec!["image"] };
        let told = |column: &str, now: &str| found.setting.get(column).is_none_or(|then| then == now);
        let [lower, upper] = self.view.window;
        let near = |column: &str, now: f32| {
            found.setting.number(column).is_none_or(|then| (then - f64::from(now)).abs() < 1e-3)
        };
        let model = self.model.as_ref().map_or("", |m| m.name.as_str());
        let same = [
            ("image", found.image == case.name),
            ("slice", told("slice", &case.slice.to_string())),
            ("model", told("model", model)),
            ("attack", found.attack == self.method.name() && told("parameters", &self.method.summary())),
            ("window", near("window_lower", lower) && near("window_upper", upper)),
        ];
        // Of another image or slice the pixels are others anyway.
        let named_so = same[0].1 && same[1].1;
        let chosen = case.identity.differs(|column| found.setting.get(column).filter(|_| named_so));
        same.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).chain(chosen).collect()
    }

    /// From where on a perturbation counts as seen.
    pub fn limit(&self) -> Limit {
        let settings = &self.seen.settings;
        match self.threshold().filter(|_| settings.by_observer) {
            Some(t) => Limit::Threshold { epsilon: t.epsilon, interval: Some(t.interval.map(|e| e.min(1.0))) },
            None => Limit::Metric { metric: settings.metric, value: settings.value },
        }
    }

    /// What counts as broken, for the present model's task.
    pub fn criterion(&self) -> Criterion {
        let task = self.model.as_ref().map_or(crate::model::Task::Segmentation, |m| m.task);
        self.seen.settings.criterion.for_task(task)
    }

    /// By what an exported figure is judged: as the plots are.
    pub fn figure_wish(&self) -> FigureWish {
        let settings = &self.seen.settings;
        FigureWish {
            criterion: self.criterion(),
            limit: Some(self.limit()),
            threshold: self.threshold().map(Measured::line),
            distance_mm: settings.calibration.map(|_| settings.distance_mm),
        }
    }

    /// What is to be measured along the curve.
    fn curve_plan(&self) -> SeenPlan {
        let mut metrics = SeenMetric::ALWAYS.to_vec();
        let chosen = self.view.quantities.iter().filter_map(|q| q.seen());
        let all = if self.seen.settings.all_metrics { &SeenMetric::ALL[..] } else { &[] };
        for metric in chosen.chain([self.seen.settings.metric]).chain(all.iter().copied()) {
            if !metrics.contains(&metric) {
                metrics.push(metric);
            }
        }
        metrics.sort_by_key(|m| *m as usize);
        SeenPlan { metrics, presentation: self.presentation(), pixels_per_degree: self.pixels_per_degree() }
    }
}

/// The curve as studies know it.
pub fn curve_of(curve: &LiveCurve) -> Curve {
    Curve {
        attack: curve.method.name().to_owned(),
        clean: curve.clean,
        points: curve.points.clone(),
        control: curve.control.clone(),
    }
}

/// The ε that break the model and are not seen, of the curve as far as it is measured.
pub fn window_of(state: &State) -> Option<EpsilonWindow> {
    let curve = state.curve.as_ref()?;
    Some(EpsilonWindow::new(&curve_of(curve), state.criterion(), state.limit()))
}
