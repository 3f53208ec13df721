//! What stands along one axis of ε: the attacks of one norm on their own model, each beside its own control.

use super::{Cell, Summary};
use crate::attack::{self, Attack, Norm};

/// The white-box cells of one attack with its parameters, ascending in ε.
#[derive(Clone, Debug)]
pub struct AttackAlong<'a> {
    /// The attack's name.
    pub name: &'a str,
    /// Its cells, one for each ε.
    pub cells: Vec<&'a Cell>,
}

/// Attacks whose ε is the same thing. ε of L∞ and of L2 are numbers of different sizes, and share no axis.
#[derive(Clone, Debug)]
pub struct NormAlong<'a> {
    /// `linf`, `l2`, or empty where ε bounds no norm.
    pub norm: &'a str,
    /// They find their own ε, so that each has one cell.
    pub found: bool,
    /// In the order of the table.
    pub attacks: Vec<AttackAlong<'a>>,
}

impl Summary {
    /// The attacks of `model` on itself over `data`, by what their ε means.
    pub fn along(&self, data: &str, model: &str) -> Vec<NormAlong<'_>> {
        let mut all: Vec<NormAlong<'_>> = Vec::new();
        let own = |c: &&Cell| c.data == data && c.made_on == model && c.judged_on == model;
        for cell in self.cells.iter().filter(own) {
            let found = cell.epsilon.is_none();
            let at = all.iter().position(|n| n.norm == cell.norm && n.found == found).unwrap_or_else(|| {
                all.push(NormAlong { norm: &cell.norm, found, attacks: Vec::new() });
                all.len() - 1
            });
            let attacks = &mut all[at].attacks;
            let key = |c: &Cell| [&c.attack, &c.parameters, &c.target, &c.region].map(String::clone);
            match attacks.iter_mut().find(|a| a.cells.first().is_some_and(|first| key(first) == key(cell))) {
                Some(attack) => attack.cells.push(cell),
                None => attacks.push(AttackAlong { name: &cell.attack, cells: vec![cell] }),
            }
        }
        let ascending = |a: &&Cell, b: &&Cell| a.epsilon.partial_cmp(&b.epsilon).unwrap_or(std::cmp::Ordering::Equal);
        all.iter_mut().flat_map(|n| &mut n.attacks).for_each(|a| a.cells.sort_by(ascending));
        all
    }
}

impl NormAlong<'_> {
    /// All ε of its attacks, ascending.
    pub fn epsilons(&self) -> Vec<f64> {
        let mut all: Vec<f64> = self.attacks.iter().flat_map(|a| &a.cells).filter_map(|c| c.epsilon).collect();
        all.sort_by(f64::total_cmp);
        all.dedup();
        all
    }

    /// What ε is, for people.
    pub fn epsilon_words(&self) -> &'static str {
        match self.norm {
            _ if self.found => "ε as found",
            "linf" => "ε, L∞",
            "l2" => "ε, L2",
            _ => "ε, strength",
        }
    }
}

impl AttackAlong<'_> {
    /// What stands beside it, in few words: one for each attack, since controls of different norms are no match for one another.
    pub fn control_name(&self) -> &'static str {
        match self.cells.first().and_then(|c| method(c)) {
            Some(method) if method.control_norm() == Norm::Linf => "random signs, ε",
            Some(method) if method.moves_pixels() => "random flow",
            _ => "random signs, L2",
        }
    }

    /// The name of the one step that it repeats, if it repeats one.
    pub fn one_step_name(&self) -> Option<&'static str> {
        self.cells.first().and_then(|c| method(c))?.beside_it().map(|one| one.name())
    }

    /// The attack's name for people.
    pub fn title(&self) -> &str {
        attack::find(self.name).map_or(self.name, |entry| entry.title)
    }
}

/// The attack of a cell with its parameters, without its seed.
pub(super) fn method(cell: &Cell) -> Option<Attack> {
    Attack::parse(&cell.attack, &cell.parameters.split_whitespace().collect::<Vec<_>>()).ok()
}
