//! What is handed to the job lane.

use super::{Worker, text};
use crate::attack::Attack;
use crate::data::FileFormat;
use crate::engine::Event;
use crate::engine::comparison::{ComparisonJob, ComparisonStart};
use crate::engine::job::{CurveJob, Job, VolumeJob};
use crate::study::report::VolumeAttack;
use crate::study::{Sweep, SweepPlan};
use std::path::PathBuf;
use std::sync::Arc;

impl Worker {
    pub(super) fn start_curve(&mut self) {
        let Some(prepared) = &self.prepared else { return };
        let (subject, method, generation) = (prepared.subject.clone(), prepared.method, prepared.generation);
        let (adversary, plan, seen) = (prepared.adversary.clone(), self.plan.clone(), self.plan.seen.clone());
        self.curve_of = generation;
        self.outbox.send(Event::CurveStarted { generation, method, clean: subject.clean.measure });
        let prepare = move || Sweep::new(adversary, &plan).map_err(text);
        self.jobs.replace(Job::Curve(CurveJob { generation, seen, prepare: Box::new(prepare), single: false }));
    }

    /// Has the curve measured at the ε of the present frame as well, so that the control stands beside it.
    pub(super) fn measure_here(&mut self) {
        let (Some(prepared), Some(good)) = (&self.prepared, &self.good) else { return };
        let (generation, epsilon) = (prepared.generation, good.frame.epsilon);
        let whole = good.frame.unfinished.is_none() && good.frame.generation == generation;
        if !whole || prepared.adversary.finds_epsilon() || !self.jobs.look_at(generation, epsilon) {
            return;
        }
        let plan = SweepPlan { epsilons: vec![epsilon], relative: false, most_points: 1, ..self.plan.clone() };
        let (adversary, seen) = (prepared.adversary.clone(), plan.seen.clone());
        let prepare = move || Sweep::new(adversary, &plan).map_err(text);
        self.jobs.replace(Job::Curve(CurveJob { generation, seen, prepare: Box::new(prepare), single: true }));
    }

    /// Measures several attacks on what is shown.
    pub(super) fn start_comparison(&mut self, attacks: Vec<Attack>, epsilons: Vec<f64>) -> Result<(), String> {
        let prepared = self.prepared.as_ref().ok_or("there is no picture yet")?;
        if attacks.is_empty() || epsilons.is_empty() {
            return Err("choose one attack and one ε at least".to_owned());
        }
        if let Some(bad) = epsilons.iter().find(|e| !(0.0..=1.0).contains(*e)) {
            return Err(format!("ε = {bad} is not between 0 and 1 (a fraction of the grey range)"));
        }
        if self.jobs.writes_volume() {
            return Err("a volume is being written. Wait for it, or cancel it".to_owned());
        }
        self.comparisons += 1;
        let start = ComparisonStart {
            number: self.comparisons,
            case: self.info.clone().ok_or("no image is open")?,
            model: prepared.subject.model.card().name.clone(),
            device: self.backend.as_ref().map(|b| b.info.description.clone()).unwrap_or_default(),
            attacks,
            epsilons,
            clean: prepared.subject.clean.measure,
        };
        self.outbox.send(Event::ComparisonStarted(Arc::new(start.clone())));
        let job = ComparisonJob { start, subject: prepared.subject.clone(), known: prepared.adversary.clone() };
        let whole = self.good.as_ref().is_some_and(|good| good.frame.unfinished.is_none());
        self.jobs.replace(Job::Comparison(Box::new(job)));
        if whole {
            // The curve that it interrupts goes on after it.
            self.start_curve();
        }
        Ok(())
    }

    /// Attacks every slice as the present one is attacked, on the job lane.
    pub(super) fn start_volume(&self, path: PathBuf) -> Result<(), String> {
        let format = FileFormat::of(&path).map_err(text)?;
        let prepared = self.prepared.as_ref().ok_or("there is no picture yet")?;
        let scene = self.scene.as_ref().ok_or("no image is open")?;
        if scene.stack.slices > 1 && matches!(format, FileFormat::Png | FileFormat::Dicom) {
            let all = FileFormat::VOLUME_ENDINGS;
            return Err(format!("{}: holds one slice only. Let the name end in {all}", path.display()));
        }
        let stack = Arc::new(scene.stack.along(scene.axis));
        let map = self.info.as_ref().and_then(|info| info.label_map.clone());
        let attack = VolumeAttack {
            label: scene.label.as_ref().map(|(label, _)| Arc::new(label.along(stack.axis))).zip(map),
            stack,
            region: scene.region.clone(),
            model: prepared.subject.model.clone(),
            method: prepared.method,
            epsilon: self.epsilon,
        };
        self.jobs.replace(Job::Volume(VolumeJob { attack, path }));
        Ok(())
    }
}
