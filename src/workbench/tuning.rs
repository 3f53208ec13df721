//! The parameters of every attack as they were last set, and what ε means to an attack, in words.

use super::state::State;
use crate::attack::{Attack, Entry, EpsilonMeaning, Norm, find};
use std::collections::BTreeMap;

/// Parameters as last set, by the name of the attack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tuned(BTreeMap<&'static str, Attack>);

impl Tuned {
    /// The attack of `entry` as it was last set; with its defaults if it never was.
    pub fn get(&self, entry: &'static Entry) -> Attack {
        self.0.get(entry.name).copied().unwrap_or_else(|| Attack::new(entry))
    }

    /// The attack called `name` as it was last set, if there is one.
    pub fn named(&self, name: &str) -> Option<Attack> {
        find(name).map(|entry| self.get(entry))
    }

    /// Remembers how `attack` is set.
    pub fn remember(&mut self, attack: Attack) {
        if attack == Attack::new(attack.entry()) {
            self.0.remove(attack.name());
        } else {
            self.0.insert(attack.name(), attack);
        }
    }

    /// Those that are not at their defaults.
    pub fn changed(&self) -> Vec<Attack> {
        self.0.values().copied().collect()
    }
}

impl From<&[Attack]> for Tuned {
    fn from(attacks: &[Attack]) -> Self {
        let mut tuned = Self::default();
        attacks.iter().for_each(|attack| tuned.remember(*attack));
        tuned
    }
}

/// Whether ε is what a grey level may change by: a radius in L∞, and no number that the attack finds, no norm of the whole image.
pub fn is_of_levels(attack: &Attack) -> bool {
    attack.entry().epsilon == EpsilonMeaning::Radius && attack.norm() == Some(Norm::Linf)
}

/// What ε is to `attack`, in a few words: `radius in L∞`.
pub fn epsilon_short(attack: &Attack) -> &'static str {
    match (attack.entry().epsilon, attack.norm()) {
        (EpsilonMeaning::Found, _) => "found by the attack",
        (EpsilonMeaning::Strength, _) => "strength, 0 to 1",
        (EpsilonMeaning::Radius, Some(Norm::Linf)) => "radius in L∞",
        (EpsilonMeaning::Radius, Some(Norm::L2)) => "radius in L2",
        (EpsilonMeaning::Radius, None) => "length of a step, no ball",
    }
}

/// The same in sentences.
pub fn epsilon_long(attack: &Attack) -> String {
    let title = attack.title();
    match (attack.entry().epsilon, attack.norm()) {
        (EpsilonMeaning::Found, _) => format!(
            "{title} does not ask for ε: it looks for the smallest perturbation that succeeds. The L∞ norm of what it found is \
             marked on the axis of ε, and moving ε changes nothing."
        ),
        (EpsilonMeaning::Strength, _) => {
            format!("To {title} ε is its strength, from 0 to 1. It does not bound the change of a pixel.")
        }
        (EpsilonMeaning::Radius, Some(Norm::Linf)) => {
            "ε is how much any pixel may change, at most: the L∞ norm of the perturbation, in units of the range of grey \
             values (Goodfellow et al. 2015). 4 /255 is four grey levels of an 8-bit image."
                .to_owned()
        }
        (EpsilonMeaning::Radius, Some(Norm::L2)) => {
            "ε is the radius of the L2 ball: the Euclidean norm of the change over all pixels, in units of the range of grey \
             values. Over N pixels an L2 norm of ε is a root mean square of ε/√N."
                .to_owned()
        }
        (EpsilonMeaning::Radius, None) => format!(
            "{title} goes ε·ζ·∇J, as long as ε·sign(∇J) in L2 (‖δ‖₂ = ε·√N in one step), but along the gradient: single pixels \
             move by more than ε, and only the bounds hold them. It is another threat model than L∞."
        ),
    }
}

/// What ε is to the chosen attack, in a line, where it is not the radius in L∞.
pub fn epsilon_note(state: &State) -> Option<String> {
    let attack = &state.method;
    let title = attack.title();
    match (attack.entry().epsilon, attack.norm()) {
        (EpsilonMeaning::Found, _) => Some(match found(state) {
            Some(linf) => format!("{title} finds its own ε: the mark ▲ is its L∞ norm, {}", state.epsilon_text(linf)),
            None if unmoved(state) => {
                format!(
                    "{title} finds its own ε, and changed nothing: the original is wrong already, or no change it tried succeeded"
                )
            }
            None => format!("{title} finds its own ε: its L∞ norm will be marked here"),
        }),
        (EpsilonMeaning::Strength, _) => Some(format!("ε is the strength of {title}, from 0 to 1")),
        (EpsilonMeaning::Radius, Some(Norm::Linf)) => None,
        (EpsilonMeaning::Radius, Some(Norm::L2)) => Some(format!("ε is the L2 radius of {title}, over all pixels")),
        (EpsilonMeaning::Radius, None) => Some(match found(state) {
            Some(linf) => format!(
                "‖δ‖₂ as long as FGSM’s at ε; single pixels move by more: the mark ▲ is the L∞ norm, {}",
                state.epsilon_text(linf)
            ),
            None => "‖δ‖₂ as long as FGSM’s at ε; single pixels move by more".to_owned(),
        }),
    }
}

/// The L∞ norm of what the chosen attack found, where ε does not say it.
pub fn found(state: &State) -> Option<f64> {
    let frame = state.frame.as_ref().filter(|frame| frame.method == state.method)?;
    let bounded = frame.method.entry().epsilon == EpsilonMeaning::Radius && frame.method.norm().is_some();
    let linf = frame.adversarial_measure.distortion.linf;
    (!bounded && frame.method.entry().epsilon != EpsilonMeaning::Strength && linf > 0.0).then_some(linf)
}

/// Whether the chosen attack has ended and left the image as it was.
fn unmoved(state: &State) -> bool {
    let ended = state.frame.as_ref().filter(|frame| frame.method == state.method && frame.unfinished.is_none());
    ended.is_some_and(|frame| frame.adversarial_measure.distortion.linf == 0.0)
}

impl State {
    /// How far the noise on the screen reaches, a fraction of the bounds' width: ε where that bounds every pixel, else its
    /// largest value.
    pub fn noise_reach(&self) -> f64 {
        self.frame.as_ref().map_or(self.epsilon, |frame| reach(frame))
    }
}

/// [`State::noise_reach`] of one frame.
pub fn reach(frame: &crate::engine::Frame) -> f64 {
    let bounded = frame.method.entry().epsilon == EpsilonMeaning::Radius && frame.method.norm() == Some(Norm::Linf);
    if bounded { frame.shown_epsilon() } else { frame.adversarial_measure.distortion.linf }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::CATALOG;

    #[test]
    fn what_was_set_is_remembered_and_defaults_are_not_stored() {
        let mut tuned = Tuned::default();
        let pgd = Attack::parse("pgd", &["steps=7"]).unwrap();
        tuned.remember(pgd);
        assert_eq!(tuned.named("pgd"), Some(pgd));
        assert_eq!(tuned.named("bim"), Attack::named("bim").ok());
        assert_eq!(Tuned::from(tuned.changed().as_slice()), tuned);
        tuned.remember(Attack::named("pgd").unwrap());
        assert!(tuned.changed().is_empty());
        assert_eq!(tuned.named("magic"), None);
    }

    #[test]
    fn every_attack_says_what_epsilon_is() {
        for entry in CATALOG {
            let attack = Attack::new(entry);
            assert!(!epsilon_short(&attack).is_empty() && epsilon_long(&attack).len() > 40, "{}", entry.name);
        }
        let norm = |settings: &[&str]| epsilon_short(&Attack::parse("pgd", settings).unwrap());
        assert_eq!((norm(&[]), norm(&["norm=l2"])), ("radius in L∞", "radius in L2"));
    }
}
