//! Images of one size, which are attacked together: what they are keyed by, and what is still to be done of them.

use super::images::Opened;
use super::judge::{FirstStep, Unit};
use super::make::AtEpsilon;
use super::row::RowKey;
use super::run::CampaignError;
use super::{CampaignModel, CampaignPlan, CampaignSet, Fingerprint, Table};
use crate::attack::{Attack, Norm};
use crate::data::{LabelMap, Region};
use crate::model::Task;
use crate::study::Subject;
use crate::study::report::ReportError;
use std::ops::ControlFlow;

/// Images of one size.
pub(super) struct Chunk<'a> {
    pub plan: &'a CampaignPlan,
    set: &'a CampaignSet,
    pub images: Vec<Opened>,
    /// What may be changed.
    region: Option<Region>,
    /// What the key calls that.
    region_name: String,
}

impl<'a> Chunk<'a> {
    pub fn new(plan: &'a CampaignPlan, set: &'a CampaignSet, images: Vec<Opened>) -> Result<Self, CampaignError> {
        let mut chunk = Self { plan, set, images, region: None, region_name: String::new() };
        if let (Some(text), Some(first)) = (&plan.region, chunk.images.first()) {
            let [height, width] = first.case.size();
            let of = |error: crate::data::DataError| CampaignError::Image {
                image: first.case.name.clone(),
                cause: error.to_string(),
            };
            let region = Region::parse(text, height, width).map_err(of)?;
            // Another mask under the same name is another region.
            let typed = text.split(',').all(|part| part.trim().parse::<usize>().is_ok());
            let mut print = Fingerprint::default();
            region.weights().iter().for_each(|w| print.add(&w.to_le_bytes()));
            chunk.region_name = if typed { text.clone() } else { format!("{text} {}", print.text()) };
            chunk.region = Some(region);
        }
        Ok(chunk)
    }
}

impl Chunk<'_> {
    /// Attacks, judges and keeps what `table` does not know yet. `told` hears, before each attack on a model, how many of those are done
    /// already, and the steps of the one that runs. How many there are.
    pub fn run(
        &self,
        table: &mut Table,
        maps: &mut [Option<LabelMap>],
        told: &mut dyn FnMut(usize, Option<[usize; 2]>),
    ) -> Result<usize, CampaignError> {
        let mut done = 0;
        let models = &self.plan.models;
        let mut subjects: Vec<Option<Vec<Subject>>> = (0..models.len()).map(|_| None).collect();
        // The maps are part of the keys: they are known before anything is skipped.
        for (model, map) in models.iter().zip(maps.iter_mut()) {
            self.find_map(model, map)?;
        }
        // Attacks that repeat one step share it.
        let mut first_steps: Vec<FirstStep> = Vec::new();
        for (attack, seed) in self.plan.attacks().map_err(ReportError::from)? {
            for source in 0..models.len() {
                let keys = self.keys(attack, seed, source, maps);
                if table.has(&keys) {
                    done += 1;
                    continue;
                }
                if done > 0 {
                    told(done, None);
                }
                for (i, model) in models.iter().enumerate() {
                    if subjects[i].is_none() {
                        subjects[i] = Some(self.subjects(model, maps[i].as_ref())?);
                    }
                }
                let ready: Vec<&[Subject]> = subjects.iter().flatten().map(Vec::as_slice).collect();
                let made = self.attack(attack, ready[source], &mut |step| {
                    told(done, Some([step.index, step.of]));
                    ControlFlow::Continue(())
                })?;
                let first = match attack.beside_it() {
                    Some(one) => Some(self.first_step(one, source, ready[source], &mut first_steps)?),
                    None => None,
                };
                let unit = Unit { attack, seed, source, first };
                let rows = self.judge(&unit, &made, &ready, &keys)?;
                table.append(rows)?;
                done += 1;
            }
        }
        Ok(done)
    }

    /// What the masks' values mean to `model`.
    fn find_map(&self, model: &CampaignModel, map: &mut Option<LabelMap>) -> Result<(), CampaignError> {
        let card = model.model.card();
        let masked = self.images.iter().find_map(|image| image.mask.as_ref().map(|mask| (image, mask)));
        let (None, Some((image, (label, slice))), Task::Segmentation) = (&*map, masked, card.task) else {
            return Ok(());
        };
        let of = |cause: String| CampaignError::Image { image: image.case.name.clone(), cause };
        *map = match &self.set.label_map {
            Some(text) => {
                let names: Vec<&str> = card.classes.iter().map(|c| c.name.as_str()).collect();
                Some(LabelMap::parse(text, &names).map_err(|error| of(error.to_string()))?)
            }
            None => {
                let plain = Subject::new(image.case.clone(), model.model.clone()).map_err(|e| of(e.to_string()))?;
                label.guess(*slice, card.classes.len(), &plain.clean.predicted)
            }
        };
        Ok(())
    }

    fn subjects(&self, model: &CampaignModel, map: Option<&LabelMap>) -> Result<Vec<Subject>, CampaignError> {
        let first = self.images.first().map_or_else(String::new, |image| image.case.name.clone());
        let failed =
            |error: crate::model::ModelError| CampaignError::Image { image: first.clone(), cause: error.to_string() };
        let cases = self.images.iter().map(|image| image.labelled(map)).collect();
        let subjects = Subject::all(cases, &model.model).map_err(failed)?;
        let aimed = |subject: Subject| {
            let target = self.plan.wish.target(&subject);
            Ok(subject.with_target(target)?.confined(self.region.clone()))
        };
        subjects.into_iter().map(aimed).collect::<Result<_, _>>().map_err(failed)
    }

    /// The keys of a unit: by ε, judging model and image.
    fn keys(&self, attack: Attack, seed: u64, source: usize, maps: &[Option<LabelMap>]) -> Vec<RowKey> {
        let plan = self.plan;
        let made_on = &plan.models[source];
        let parameters: Vec<String> = attack
            .parameters()
            .filter(|(p, _)| p.name != "seed")
            .map(|(p, v)| format!("{}={}", p.name, p.text(v)))
            .collect();
        let mut keys = Vec::new();
        for AtEpsilon { cell: epsilon, .. } in self.epsilons(attack) {
            for (judge, map) in plan.models.iter().zip(maps) {
                for image in &self.images {
                    let names: Vec<&str> = judge.model.card().classes.iter().map(|c| c.name.as_str()).collect();
                    keys.push(RowKey(vec![
                        self.set.name.clone(),
                        image.case.name.clone(),
                        image.id.clone(),
                        attack.name().to_owned(),
                        parameters.join(" "),
                        attack.norm().map_or("", Norm::name).to_owned(),
                        epsilon.clone(),
                        seed.to_string(),
                        plan.wish.name(),
                        self.region_name.clone(),
                        made_on.name.clone(),
                        made_on.id.clone(),
                        judge.name.clone(),
                        judge.id.clone(),
                        map.as_ref().map(|map| map.to_text(&names)).unwrap_or_default(),
                        plan.criterion.to_text(),
                        plan.seen.as_ref().map(ToString::to_string).unwrap_or_default(),
                        u8::from(plan.stop_early).to_string(),
                        plan.budget_bytes.to_string(),
                        plan.device.clone(),
                        env!("CARGO_PKG_VERSION").to_owned(),
                    ]));
                }
            }
        }
        keys
    }
}
