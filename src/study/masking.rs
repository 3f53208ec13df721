//! Signs of gradient masking, and what to say of them: many gradients that are exactly zero, random signs that do more than a
//! white-box attack, one step that does more than many.

use super::report::epsilon;
use super::{Adversary, Curve, CurvePoint};
use crate::attack::{Attack, AttackError, zero_share};

/// A larger share of zeros in a gradient is a sign.
pub const ZERO_SHARE: f64 = 0.1;
/// Scores nearer than this are the same.
const SAME_SCORE: f64 = 0.01;

/// Whether what gains `other` does more than an attack that gains `own` (see [`Measure::gain`](super::Measure::gain)).
pub fn does_more(other: f64, own: f64) -> bool {
    other > own + SAME_SCORE
}

/// What is said of a gradient with so large a share of zeros, if it is a sign.
pub fn zeros_note(share: f64) -> Option<String> {
    (share > ZERO_SHARE).then(|| {
        format!(
            "The gradient is exactly zero at {:.0} % of the pixels, which a gradient attack therefore leaves alone: a sign of \
             gradient masking or of a saturated model.",
            share * 100.0
        )
    })
}

/// What is said where its control does more than `attack`, at the ε in `at`; `targeted` where what it does is to reach a target.
pub fn random_note(attack: Attack, at: &str, targeted: bool) -> String {
    let does = if targeted { "reaches more of the target" } else { "does more harm" };
    let control = attack.control_noise();
    format!(
        "{control} {does} than the attack at ε = {at}. The gradient is a poor guide there (too large a step, or \
         gradient masking): a stronger attack may get farther at a smaller ε."
    )
}

/// What is said where the first step alone does more than all, at the ε in `at`; `targeted` as for [`random_note`].
pub fn one_step_note(first: &str, at: &str, targeted: bool) -> String {
    let does = if targeted { "reaches more of the target" } else { "does more harm" };
    format!(
        "One step ({first}) {does} than all steps of the attack at ε = {at}: a sign of gradient masking, or of steps that \
         are too large or too few. Do not take the attack’s result for the worst case."
    )
}

/// The signs that a curve of `adversary` shows. Runs the attack's one-step form at each ε of the curve, where it has one. With a
/// target the share that is as wished is compared, else the score of what is true.
///
/// # Errors
/// If the device fails.
pub fn masking_notes(adversary: &Adversary, curve: &Curve) -> Result<Vec<String>, AttackError> {
    let (subject, attack) = (adversary.subject(), adversary.attack());
    let mut notes = Vec::new();
    if let Some((_, gradient)) = adversary.clean_gradient() {
        let share = zero_share(gradient, subject.options().region.as_ref())?;
        notes.extend(share.first().and_then(|share| zeros_note(f64::from(*share))));
    }
    if !attack.entry().gradient || attack.entry().lowers_the_loss {
        return Ok(notes);
    }
    let targeted = subject.target.is_some();
    let listed = |points: Vec<&CurvePoint>| {
        let names: Vec<String> = points.iter().map(|p| epsilon::short(p.epsilon)).collect();
        names.join(", ")
    };
    let stronger = |p: &&CurvePoint| {
        let control = curve.control.iter().find(|c| (c.epsilon - p.epsilon).abs() < epsilon::SAME);
        control.is_some_and(|c| does_more(c.measure.gain(), p.measure.gain()))
    };
    // The control is as long as what the attack found, in the norm that both are measured in.
    let at = listed(curve.points.iter().filter(|p| p.epsilon > 0.0).filter(stronger).collect());
    if !at.is_empty() {
        notes.push(random_note(attack, &at, targeted));
    }
    if let Some(first) = attack.one_step() {
        let one = Adversary::new(subject.clone(), first)?;
        let mut better = Vec::new();
        for point in curve.points.iter().filter(|p| p.epsilon > 0.0) {
            let gain = subject.judge(&one.at_last(point.epsilon)?)?.measure.gain();
            if does_more(gain, point.measure.gain()) {
                better.push(point);
            }
        }
        let at = listed(better);
        if !at.is_empty() {
            notes.push(one_step_note(&first.to_string(), &at, targeted));
        }
    }
    Ok(notes)
}
