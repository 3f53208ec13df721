//! The words of the steps: titles, formulas with their source, and what happens in plain words.

use crate::attack::{Attack, RANDOM_SIGN, Reference};
use crate::engine::Frame;
use crate::workbench::State;
use crate::workbench::state::entry;

/// The words of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Words {
    /// In a word or two.
    pub title: &'static str,
    /// The formula.
    pub formula: String,
    /// What happens, in a sentence or two.
    pub plain: String,
    /// Where the formula comes from.
    pub source: &'static str,
    /// What stands in the place of a picture that this attack does not have.
    pub missing: &'static str,
}

const GOODFELLOW: &str = "Goodfellow, Shlens and Szegedy 2015, section 4";
const INVERSE: &str = "Inverse FGSM, equation 3";
const CONTROL: &str = "The control: same size, no knowledge of the model";

/// The words of `step`, from 0, for the attack of `frame`.
pub fn words(step: usize, state: &State, frame: &Frame) -> Words {
    let method = frame.method.entry();
    let (random, descend) = (!method.gradient, method.lowers_the_loss);
    let one_step = [Attack::FGSM.name(), Attack::INVERSE_FGSM.name(), RANDOM_SIGN].contains(&method.name);
    let source = match method.name {
        "fgsm" => GOODFELLOW,
        "inverse-fgsm" => INVERSE,
        RANDOM_SIGN => CONTROL,
        _ => method.source,
    };
    let epsilon = state.epsilon_text(frame.shown_epsilon());
    let (title, formula, plain) = match step {
        0 if random => (
            "No gradient",
            "—".to_owned(),
            "Random signs ask the model nothing: there is no gradient to take.".to_owned(),
        ),
        0 => (
            "Gradient",
            "g = ∇J(x, y)".to_owned(),
            "Which way, and how much, each pixel would change the loss. Orange: brighter raises it; blue: darker does."
                .to_owned(),
        ),
        1 if !one_step => (
            "Direction",
            "δ / max|δ|".to_owned(),
            format!("{} The way that it went in all, its largest change as 1.", method.description),
        ),
        1 if random => (
            "Sign",
            "s ∈ {−1, +1} at random".to_owned(),
            "A coin is tossed for every pixel: brighter or darker.".to_owned(),
        ),
        1 if descend => (
            "Sign",
            "s = −sign(g)".to_owned(),
            "Only the direction is kept, and turned round: every pixel moves so that the loss falls.".to_owned(),
        ),
        1 => (
            "Sign",
            "s = sign(g)".to_owned(),
            "Only the direction is kept: every pixel counts the same, however small its gradient.".to_owned(),
        ),
        2 if !one_step => (
            "Change",
            format!("δ, ε = {epsilon}"),
            format!(
                "What the attack adds to the image. Shown ×{}, or nothing would be seen.",
                crate::workbench::compare::gain_text(state.view.gain_at(crate::workbench::tuning::reach(frame)))
            ),
        ),
        2 => (
            "Times ε",
            format!("δ = ε·s, ε = {epsilon}"),
            format!(
                "Every pixel moves by ε, no more. Shown ×{}, or nothing would be seen.",
                crate::workbench::compare::gain_text(state.view.gain_at(crate::workbench::tuning::reach(frame)))
            ),
        ),
        _ => (
            "Sum",
            "x′ = clip(x + δ)".to_owned(),
            format!(
                "The adversarial image, kept within the grey range. Dice of {} goes from {:.3} to {:.3}.",
                state.positive_class_name(),
                frame.clean.overlap.dice,
                frame.adversarial_measure.overlap.dice
            ),
        ),
    };
    let missing = if random { "No gradient: this attack does not look at the model" } else { "No gradient was kept" };
    Words { title, formula, plain, source, missing }
}

/// The loss of the clean image in a line, or why there is none.
pub fn loss_line(state: &State, frame: &Frame) -> String {
    let attack = entry(frame.method).title;
    if !frame.method.entry().gradient {
        return format!("{attack}: there is no gradient, and no loss is computed");
    }
    let against = match state.case.as_ref().map(|c| c.reference) {
        Some(Reference::Label) => "against the label",
        _ => "against the clean prediction",
    };
    match frame.loss {
        Some(loss) => format!("{attack}: loss J = {loss:.4} of the clean image, {against}"),
        None => format!("{attack}: loss J, {against}"),
    }
}
