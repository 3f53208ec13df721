//! What `attack` says of the noise and of the one step that it puts beside an attack.

use crate::attack::{Attack, Control, Judgement, Objective, Options, Outcome, random_flow, warped};
use crate::model::Model;
use crate::study::zeros_note;
use burn::tensor::Tensor;

/// What stands beside an attack: random noise of its size, and its one-step form. Where either does more, or the gradient is
/// zero in many places, gradients are masked.
#[derive(Default)]
pub(super) struct Beside {
    random: Vec<Judgement>,
    /// What these are.
    control: &'static str,
    /// They are flows.
    moves: bool,
    first: Option<(Attack, Vec<Judgement>)>,
    zeros: Vec<f32>,
}

impl Beside {
    pub fn add(
        &mut self,
        (attack, seed, options): (Attack, u32, &Options),
        model: &dyn Model,
        x: &Tensor<4>,
        objective: &Objective,
        epsilon: f64,
        found: &Outcome,
    ) -> anyhow::Result<()> {
        if !attack.entry().gradient || attack.entry().lowers_the_loss {
            return Ok(());
        }
        let seed = u64::from(seed);
        self.random.extend(match (&found.flow, found.largest_displacement()?) {
            // Moved pixels are compared with pixels that are moved as far.
            (Some(_), Some(pixels)) => {
                let flow = random_flow(x, &pixels, seed, options.region.as_ref())?;
                objective.judge_moved(model, warped(x, flow.clone()), Some(&flow))?
            }
            _ => {
                let control = Control::new(model, x, objective, seed, options)?;
                objective.judge(model, control.beside(attack, x, epsilon, &found.adversarial)?)?
            }
        });
        (self.control, self.moves) = (attack.control_words(), attack.moves_pixels());
        if let Some(one) = attack.one_step() {
            let outcome = one.run_through(model, x, objective, &vec![epsilon; x.dims()[0]], options)?;
            self.first.get_or_insert((one, Vec::new())).1.extend(outcome.judged);
        }
        self.zeros.extend(found.zero_share.iter().flatten().filter(|share| !share.is_nan()));
        Ok(())
    }

    /// Lines for people; `judged` are the clean images and what the attack made of them.
    pub fn words(&self, judged: &[(Judgement, Judgement)], targeted: bool) -> String {
        if self.random.is_empty() {
            return String::new();
        }
        let mean = |of: &mut dyn Iterator<Item = f32>| {
            let all: Vec<f64> = of.map(f64::from).collect();
            all.iter().sum::<f64>() / all.len().max(1) as f64
        };
        let loss = |of: &[Judgement]| mean(&mut of.iter().map(|j| j.loss));
        let hits = |of: &[Judgement]| 100.0 * mean(&mut of.iter().map(|j| j.hits));
        let after: Vec<Judgement> = judged.iter().map(|(_, after)| *after).collect();
        let sign = if targeted { -1.0 } else { 1.0 };
        // In the loss, or in what counts: a percent more of the pixels, or of the images.
        let more = |other: &[Judgement]| {
            sign * loss(other) > sign * loss(&after) + 1e-3 * loss(&after).abs() || hits(other) > hits(&after) + 1.0
        };
        let random = loss(&self.random);
        let mut text = format!("beside it, {}: loss {random:.6}, {:.2} %", self.control, hits(&self.random));
        let mut notes: Vec<String> = zeros_note(mean(&mut self.zeros.iter().copied())).into_iter().collect();
        if more(&self.random) {
            let noise = if self.moves { "A random flow does" } else { "Random signs do" };
            notes.push(format!("{noise} more than the attack: a sign of gradient masking, or of too large a step."));
        }
        if let Some((one, first)) = &self.first {
            text += &format!("; one step ({one}): loss {:.6}, {:.2} %", loss(first), hits(first));
            if more(first) {
                notes.push(
                    "One step does more than many: a sign of gradient masking, or of steps too large or too few."
                        .to_owned(),
                );
            }
        }
        notes.into_iter().fold(text + "\n", |text, note| text + "note: " + &note + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_that_hits_more_at_a_lower_loss_is_told() {
        let of = |loss, hits| Judgement { loss, hits };
        let told = |random: Judgement, after: Judgement| {
            let beside = Beside { random: vec![random], moves: true, ..Beside::default() };
            beside.words(&[(of(0.1, 0.0), after)], false).contains("A random flow does more")
        };
        assert!(told(of(0.5, 0.4), of(0.6, 0.1)) && told(of(0.7, 0.1), of(0.6, 0.4)));
        assert!(!told(of(0.5, 0.1), of(0.6, 0.1)) && !told(of(0.5, 0.105), of(0.6, 0.1)));
    }
}
