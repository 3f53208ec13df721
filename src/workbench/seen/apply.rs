//! What commands change, and what the engine is asked to measure.

use super::closely::{Blind, BlindStep};
use super::{SeenCommand, SeenWish};
use crate::data::grid_of;
use crate::engine::{Request, SeenFound};
use crate::observer::Measured;
use crate::study::{Seen, SeenMetric, SeenPlan};
use crate::workbench::app::App;
use crate::workbench::state::{Comparison, State};
use crate::workbench::view::View;
use eframe::egui;
use std::sync::Arc;
use std::time::Duration;

/// Metrics wait until nothing has changed for so long: while a slider is dragged the model needs the processor more.
const FRAME_SECS: f64 = 0.1;
/// The same of a curve, whose points are all measured again.
const CURVE_SECS: f64 = 0.6;

impl App {
    pub(in crate::workbench) fn apply_seen(&mut self, command: SeenCommand) {
        let state = &mut self.state;
        match command {
            SeenCommand::Set(settings) => state.seen.settings = settings.sanitised(),
            SeenCommand::Toggle => {
                if state.view.comparison == Comparison::Toggle {
                    state.seen.toggled = !state.seen.toggled;
                } else {
                    state.view = View { comparison: Comparison::Toggle, ..state.view.clone() };
                    state.seen.toggled = true;
                }
            }
            SeenCommand::Blind(step) => blind(state, step),
            SeenCommand::Thresholds(found) => {
                for new in found {
                    let key = |t: &Measured| (t.observer.clone(), t.image.clone(), t.attack.clone(), t.setting.clone());
                    state.seen.thresholds.retain(|old| key(old) != key(&new));
                    state.seen.thresholds.push(new);
                }
            }
        }
    }

    pub(in crate::workbench) fn hear_seen(&mut self, found: Arc<SeenFound>) {
        self.state.seen.found = Some(found);
    }

    /// Asks for what is lacking: the present frame's metrics, and the curve's under the present window.
    pub(in crate::workbench) fn watch_seen(&mut self, context: &egui::Context, now: f64) {
        if self.is_staged() {
            return;
        }
        let busy = self.state.dragging || self.state.computing || context.input(|i| i.pointer.any_down());
        let state = &mut self.state;
        if let Some(wish) = wish(state)
            && !state.seen.wished.as_ref().is_some_and(|old| old.is(&wish))
            && !busy
        {
            state.seen.wished = Some(wish.clone());
            self.engine.send(Request::Seen(Box::new(wish)));
        }
        let plan = state.curve_plan();
        if plan == state.seen.told {
            state.seen.next = None;
            return;
        }
        match &state.seen.next {
            Some((next, since)) if *next == plan => {
                if now - since < CURVE_SECS || busy {
                    context.request_repaint_after(Duration::from_secs_f64(FRAME_SECS));
                    return;
                }
                forget(state, &plan);
                state.seen.told = plan.clone();
                state.seen.next = None;
                self.engine.send(Request::MeasureSeen(plan));
            }
            _ => {
                state.seen.next = Some((plan, now));
                context.request_repaint_after(Duration::from_secs_f64(CURVE_SECS));
            }
        }
    }
}

/// What is to be measured of the present frame; none while it is behind, or nobody looks.
fn wish(state: &State) -> Option<SeenWish> {
    let settings = &state.seen.settings;
    let frame = state.frame.as_ref().filter(|_| state.is_current())?;
    if !settings.open && settings.map.is_none() {
        return None;
    }
    let metrics = if settings.open { SeenMetric::ALL.to_vec() } else { Vec::new() };
    let plan = SeenPlan { metrics, presentation: state.presentation(), pixels_per_degree: state.pixels_per_degree() };
    Some(SeenWish {
        original: frame.original.clone(),
        adversarial: frame.adversarial.clone(),
        plan,
        map: settings.map,
        grid: grid_of(frame.case.stored, &frame.case.about),
        bounds: frame.case.bounds,
    })
}

/// Takes values away that were measured under another window: none is better than a wrong one.
fn forget(state: &mut State, plan: &SeenPlan) {
    let same = state.seen.told.shows_as(plan);
    if let Some(curve) = state.curve.as_mut().filter(|_| !same) {
        for point in curve.points.iter_mut().chain(&mut curve.control) {
            point.measure.seen = Seen::default();
        }
    }
}

fn blind(state: &mut State, step: BlindStep) {
    match (step, &mut state.seen.blind) {
        (BlindStep::Begin, blind) => *blind = Some(Blind::new()),
        (BlindStep::End, blind) => *blind = None,
        (BlindStep::Answer(first), Some(blind)) => blind.answer(first),
        (BlindStep::Reveal, Some(blind)) => blind.reveal(),
        (BlindStep::Next, Some(blind)) => blind.next(),
        _ => {}
    }
}
