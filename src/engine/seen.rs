//! How visible the present perturbation is, measured on a thread of its own: the newest wish wins, and an older one is given up
//! between two metrics.

use super::{Event, Outbox, Plane};
use crate::data::{Bounds, Grid};
use crate::metric::{ImagePair, MetricError, MetricMap, butteraugli, ciede2000, flip, gmsd, haarpsi, ssim, vif};
use crate::study::{Seen, SeenPlan};
use crate::view::{Presentation, Window};
use serde::{Deserialize, Serialize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// A metric that tells where in the image the difference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeenMap {
    /// 1 − SSIM.
    Ssim,
    /// FLIP.
    Flip,
    /// 1 − gradient magnitude similarity.
    Gmsd,
    /// 1 − HaarPSI's local similarity.
    HaarPsi,
    /// 1 − the local fidelity of VIF.
    Vif,
    /// Butteraugli's distance.
    Butteraugli,
    /// CIEDE2000, in units of ΔE₀₀; of colour images.
    DeltaE,
}

impl SeenMap {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Ssim, Self::Flip, Self::Gmsd, Self::HaarPsi, Self::Vif, Self::Butteraugli, Self::DeltaE];

    /// For people: what the colours stand for.
    pub fn title(self) -> &'static str {
        match self {
            Self::Ssim => "1 − SSIM",
            Self::Flip => "FLIP",
            Self::Gmsd => "1 − GMS",
            Self::HaarPsi => "1 − HaarPSI",
            Self::Vif => "1 − VIF",
            Self::Butteraugli => "Butteraugli",
            Self::DeltaE => "ΔE00",
        }
    }

    /// The difference at each pixel; 0 where nothing is seen.
    fn of(self, pair: &ImagePair<'_>, pixels_per_degree: f64) -> Result<MetricMap, MetricError> {
        let mut map = match self {
            Self::Ssim => ssim(pair),
            Self::Flip => flip(pair, pixels_per_degree),
            Self::Gmsd => gmsd(pair),
            Self::HaarPsi => haarpsi(pair),
            Self::Vif => vif(pair),
            Self::Butteraugli => butteraugli(pair),
            Self::DeltaE => ciede2000(pair),
        }?;
        if matches!(self, Self::Ssim | Self::Gmsd | Self::HaarPsi | Self::Vif) {
            map.map.iter_mut().for_each(|v| *v = (1.0 - *v).max(0.0));
        }
        Ok(map)
    }
}

/// What is to be measured of two planes.
#[derive(Clone, Debug)]
pub struct SeenWish {
    /// The image in fractions of the bounds.
    pub original: Plane,
    /// The attacked image.
    pub adversarial: Plane,
    /// Metrics, window, bits, viewing distance.
    pub plan: SeenPlan,
    /// Also where it is seen.
    pub map: Option<SeenMap>,
    /// The numbers that a file of the original's type holds; none where it holds any.
    pub grid: Option<Grid>,
    /// What the fractions are of.
    pub bounds: Bounds,
}

impl SeenWish {
    /// Whether both ask for the same.
    pub fn is(&self, other: &Self) -> bool {
        let planes = |w: &Self| [w.original.id, w.adversarial.id];
        planes(self) == planes(other) && self.plan == other.plan && self.map == other.map
    }

    /// A fraction of the bounds as a file gives it back.
    fn saved(&self, fraction: f32) -> f32 {
        let Some(grid) = self.grid else { return fraction };
        let value = self.bounds.lower + fraction * self.bounds.width();
        (grid.round(value) - self.bounds.lower) / self.bounds.width()
    }
}

/// How visible the perturbation of two planes is.
#[derive(Clone, Debug)]
pub struct SeenFound {
    /// Of what.
    pub wish: SeenWish,
    /// On the screen: under the wish's window and bits.
    pub shown: Seen,
    /// Of what a file would hold: rounded to its numbers, over the whole range of the bounds.
    pub stored: Seen,
    /// The map, and the value that its brightest colour stands for.
    pub map: Option<(Plane, f32)>,
    /// Why there is none though it was wished for.
    pub no_map: Option<String>,
}

#[derive(Default)]
struct State {
    wish: Option<SeenWish>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread. Dropping it ends it after its present metric.
pub(super) struct SeenLane {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl SeenLane {
    pub(super) fn start(outbox: Outbox) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let worker = shared.clone();
        let thread = std::thread::Builder::new().name("seen".to_owned()).spawn(move || run(&worker, &outbox))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Measures this, and no older wish any more.
    pub(super) fn wish(&self, wish: SeenWish) {
        self.shared.lock().wish = Some(wish);
        self.shared.arrived.notify_all();
    }
}

impl Drop for SeenLane {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.closed = true;
            state.wish = None;
        }
        self.shared.arrived.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, outbox: &Outbox) {
    loop {
        let wish = {
            let mut state = shared.lock();
            loop {
                if state.closed {
                    return;
                }
                if let Some(wish) = state.wish.take() {
                    break wish;
                }
                state = shared.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        };
        let go_on = || {
            let state = shared.lock();
            state.wish.is_none() && !state.closed
        };
        // A metric that panics must not take the thread with it; there is no value then, which the table says.
        if let Ok(Some(found)) = catch_unwind(AssertUnwindSafe(|| measure(wish, &go_on))) {
            outbox.send(Event::Seen(Arc::new(found)));
        }
    }
}

/// Measures what `wish` asks for; `None` once it is to stop, or where the planes are not on the host.
fn measure(wish: SeenWish, go_on: &dyn Fn() -> bool) -> Option<SeenFound> {
    let (original, adversarial) = (wish.original.clone(), wish.adversarial.clone());
    let (a, b) = (original.values()?, adversarial.values()?);
    let shape = [original.channels, original.height, original.width];
    let stored = Presentation { window: Window::FULL, inverted: false, bits: 0 };
    let mut measured = [Seen::default(); 2];
    let presentations = [wish.plan.presentation, stored];
    let saved = [a, b].map(|image| image.iter().map(|&v| wish.saved(v)).collect::<Vec<f32>>());
    for &metric in &wish.plan.metrics {
        for ((seen, presentation), [a, b]) in
            measured.iter_mut().zip(presentations).zip([[a, b], [&saved[0], &saved[1]]])
        {
            if !go_on() {
                return None;
            }
            let plan = SeenPlan { metrics: vec![metric], presentation, ..wish.plan.clone() };
            let one = Seen::measure(a, b, shape, &plan).unwrap_or_default();
            seen.same = one.same;
            if let Some(value) = one.get(metric) {
                *seen = seen.with(metric, value);
            }
        }
    }
    let mut map = None;
    let mut no_map = None;
    if let Some(kind) = wish.map {
        let [a, b] = [a, b].map(|image| wish.plan.presentation.shown(image));
        let found = ImagePair::new(&a, &b, shape).and_then(|pair| kind.of(&pair, wish.plan.pixels_per_degree));
        match found {
            Ok(found) => {
                let top = found.colour_end();
                map = Some((Plane::from_host(1, found.height, found.width, found.map), top));
            }
            Err(error) => no_map = Some(error.to_string()),
        }
    }
    let [shown, stored] = measured;
    go_on().then_some(SeenFound { wish, shown, stored, map, no_map })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::SeenMetric;

    #[test]
    fn the_map_is_where_the_change_is() {
        let size = 64;
        let original: Vec<f32> = (0..size * size).map(|i| 0.4 + 0.1 * ((i % size) as f32 * 0.3).sin()).collect();
        let mut changed = original.clone();
        for y in 40..50 {
            for x in 10..20 {
                changed[y * size + x] += if (x + y) % 2 == 0 { 0.1 } else { -0.1 };
            }
        }
        let plane = |values: &[f32]| Plane::from_host(1, size, size, values.to_vec());
        let wish = |map, grid| SeenWish {
            original: plane(&original),
            adversarial: plane(&changed),
            plan: SeenPlan::default(),
            map: Some(map),
            grid,
            bounds: Bounds::EIGHT_BIT,
        };
        for kind in SeenMap::ALL.into_iter().filter(|kind| *kind != SeenMap::DeltaE) {
            let plan = SeenPlan { metrics: vec![SeenMetric::Ssim], ..SeenPlan::default() };
            let wish = SeenWish { plan, ..wish(kind, None) };
            let found = measure(wish, &|| true).unwrap();
            let (map, top) = found.map.unwrap();
            assert_eq!([map.height, map.width], [size, size], "{kind:?}");
            let values = map.values().unwrap();
            // The largest: in the middle of a checkerboard there is no gradient, and GMSD sees none.
            let square = (40..50).flat_map(|y| (10..20).map(move |x| y * size + x));
            let inside = square.map(|i| values[i]).fold(0.0, f32::max);
            let outside = values[10 * size + 50];
            assert!(inside > 0.05 && outside < 1e-3 && inside <= top * 1.5, "{kind:?}: {inside} {outside} {top}");
            assert!(found.shown.get(SeenMetric::Ssim).unwrap() < 1.0 && found.stored.get(SeenMetric::Ssim).is_some());
        }
        assert!(measure(wish(SeenMap::Ssim, None), &|| false).is_none(), "given up for a newer wish");
    }

    #[test]
    fn what_a_file_holds_is_what_is_called_stored() {
        let size = 32;
        let original: Vec<f32> = (0..size * size).map(|i| (60 + i % 100) as f32 / 255.0).collect();
        let grid = crate::data::grid_of(crate::data::StoredType::U8, &crate::data::About::default());
        let found = |levels: f32| {
            let sign = |i: usize| if i.is_multiple_of(3) { 1.0 } else { -1.0 };
            let changed: Vec<f32> = original.iter().enumerate().map(|(i, v)| v + sign(i) * levels / 255.0).collect();
            let plane = |values: &[f32]| Plane::from_host(1, size, size, values.to_vec());
            // Under a quarter of the range the screen shows what 8 bits do not hold.
            let presentation = Presentation { window: Window { lower: 0.3, upper: 0.55 }, inverted: false, bits: 8 };
            let plan = SeenPlan { metrics: vec![SeenMetric::Psnr], presentation, ..SeenPlan::default() };
            let (original, adversarial) = (plane(&original), plane(&changed));
            measure(SeenWish { original, adversarial, plan, map: None, grid, bounds: Bounds::EIGHT_BIT }, &|| true)
                .unwrap()
        };
        let gone = found(0.4);
        assert!(!gone.shown.same && gone.stored.same && gone.stored.get(SeenMetric::Psnr).is_none());
        // ±0.7 of a level is a whole one in the file: 20·log10(255) dB.
        let whole = found(0.7).stored.get(SeenMetric::Psnr).unwrap();
        assert!((whole - 48.13).abs() < 0.01, "{whole}");
    }
}
