//! Adversarial over clean error in the AdvU-Net study, and what is said of it.

use super::advu_net::{Images, MEASURES};
use super::interval::{Basis, Mean, ceiling};
use super::learned::LEARNED;
use super::networks::Networks;
use super::{counted, spread};

/// An error over all networks at the marked ε.
pub(super) struct Ratio {
    pub clean: f64,
    pub attacked: f64,
    pub control: f64,
    /// None where a network has learned nothing. Its interval is whole: cut at the ceiling, which is a sample's too, it would hold
    /// the truth less often than it says.
    pub found: Option<Mean>,
    /// No ratio is above it.
    pub ceiling: f64,
    /// On images that were trained on, and how many looks that is.
    pub trained_on: (f64, usize),
    /// What the interval is over.
    basis: Basis,
    /// How many networks have learned nothing.
    unlearned: usize,
}

impl Ratio {
    /// Of the error at `index` of [`MEASURES`].
    pub fn new(images: &Images<'_>, networks: &Networks<'_>, index: usize) -> Self {
        let of = MEASURES[index].1;
        let mean = |values: &[f64]| spread(values).0;
        let clean = images.values(0.0, false, of);
        let sizes = images.values(0.0, false, |m| m.error.pixels as f64);
        let unlearned = networks.unlearned();
        Self {
            attacked: mean(&images.values(networks.epsilon, false, of)),
            control: mean(&images.values(networks.epsilon, true, of)),
            clean: mean(&clean),
            found: networks.ratio(of).filter(|_| unlearned == 0),
            ceiling: ceiling(&sizes, &clean, index < 2),
            trained_on: networks.ratio_trained_on(of),
            basis: networks.basis(),
            unlearned,
        }
    }

    pub fn value(&self) -> f64 {
        self.found.map_or(self.attacked / self.clean, |found| found.mean)
    }

    /// Whether networks that have learned nothing are among those that it is of: then nothing is told of all.
    pub fn is_untold(&self) -> bool {
        self.unlearned > 0
    }

    /// The ratio as a claim.
    pub fn told(&self) -> String {
        self.claim(self.value())
    }

    /// That on images which were trained on.
    pub fn told_trained_on(&self) -> String {
        self.claim(self.trained_on.0)
    }

    fn claim(&self, ratio: f64) -> String {
        if self.is_untold() { "not told".to_owned() } else { format!("{ratio:.2}") }
    }

    pub fn interval(&self) -> String {
        match self.found {
            Some(Mean { interval: [low, high], .. }) if high.is_finite() => format!("{low:.2} to {high:.2}"),
            _ if self.is_untold() => "not told".to_owned(),
            _ => "not told by one network".to_owned(),
        }
    }

    /// The interval, and beside it the ceiling.
    pub fn beside_ceiling(&self) -> String {
        let above = self.found.is_some_and(|found| found.interval[1].is_finite() && found.interval[1] > self.ceiling);
        let more = if above { ", above which nothing can be" } else { "" };
        format!("{}; ceiling {:.2}{more}", self.interval(), self.ceiling)
    }
}

/// The ratio beside the paper’s, if the networks tell one.
pub(super) fn headline(mark: f64, soft: &Ratio, networks: usize, paper: f64) -> String {
    if soft.is_untold() {
        return format!(
            "How much larger FGSM makes the pixel error at ε {mark} is not told: {} of {networks} networks learned nothing; the paper says {paper:.1} times",
            soft.unlearned
        );
    }
    let over = if networks > 1 { format!(" over {}", soft.basis.words()) } else { String::new() };
    format!(
        "At ε {mark} FGSM makes the pixel error {:.1} times the clean one ({}{over}); the paper says {paper:.1}",
        soft.value(),
        soft.interval()
    )
}

/// What stands beside the headline.
pub(super) fn beside(soft: &Ratio, epochs: usize) -> String {
    if soft.is_untold() {
        return format!(
            "A network that has learned nothing has, after {}, a mean IoU on held-out images that is not more than {LEARNED} above that of a constant mask: its errors compare nothing, and more epochs are needed.",
            counted(epochs, "epoch", "epochs")
        );
    }
    format!("Random signs of the same ε make it {:.1} times.", soft.control / soft.clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(interval: [f64; 2], ceiling: f64, unlearned: usize) -> Ratio {
        let found = (unlearned == 0).then_some(Mean { mean: 1.4, interval });
        let basis = Basis { seeds: 2, folds: 2 };
        Ratio { clean: 10.0, attacked: 14.0, control: 11.0, found, ceiling, trained_on: (1.0, 6), basis, unlearned }
    }

    #[test]
    fn an_interval_is_told_whole_beside_the_ceiling() {
        let above = ratio([0.45, 4.22], 2.66, 0);
        assert_eq!(above.interval(), "0.45 to 4.22");
        assert_eq!(above.beside_ceiling(), "0.45 to 4.22; ceiling 2.66, above which nothing can be");
        assert!(
            headline(0.3, &above, 4, 23.6).contains("1.4 times the clean one (0.45 to 4.22 over 2 seeds and 2 folds)")
        );
        assert_eq!(ratio([1.1, 2.0], 2.66, 0).beside_ceiling(), "1.10 to 2.00; ceiling 2.66");
        assert_eq!(ratio([0.0, f64::INFINITY], 2.66, 0).interval(), "not told by one network");
    }

    #[test]
    fn networks_that_learned_nothing_tell_no_ratio() {
        let none = ratio([0.45, 4.22], 2.66, 2);
        assert_eq!([none.told(), none.interval(), none.told_trained_on()], ["not told"; 3]);
        let some = ratio([1.1, 2.0], 2.66, 0);
        assert_eq!([some.told(), some.told_trained_on()], ["1.40", "1.00"]);
        let text = headline(0.3, &none, 4, 23.6);
        assert!(text.contains("is not told: 2 of 4 networks learned nothing") && !text.contains("1.4"), "{text}");
        let [one, four] = [1, 4].map(|epochs| beside(&none, epochs));
        assert!(one.contains("after 1 epoch, a mean IoU") && four.contains("after 4 epochs, a mean IoU"), "{one}");
        assert!(four.contains("not more than 0.02 above that of a constant mask") && four.contains("more epochs are"));
        assert!(beside(&some, 4).contains("1.1 times"));
    }

    #[test]
    fn networks_of_one_seed_are_told_as_such() {
        let basis = Basis { seeds: 1, folds: 2 };
        let one = Ratio { basis, ..ratio([1.7, 2.51], 2.66, 0) };
        let text = headline(0.3, &one, 2, 23.6);
        assert!(text.contains("(1.70 to 2.51 over 2 networks of one seed, Student’s t)"), "{text}");
        let single = Ratio { basis: Basis { seeds: 1, folds: 1 }, ..ratio([0.0, f64::INFINITY], 2.66, 0) };
        assert!(headline(0.3, &single, 1, 23.6).contains("(not told by one network)"));
    }
}
