//! Noise that knows nothing of the model: random signs, the control of every curve, and Gaussian noise.

use crate::attack::random::{Random, Use};
use crate::attack::rows::{Found, Method, Observer, Rows};
use crate::attack::{Attack, AttackError, Direction, Norm};

/// x + ε·n with independent n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::attack) enum Noise {
    /// n is −1 or 1 with equal probability.
    Signs,
    /// n is normal with deviation 1.
    Gaussian,
}

impl Noise {
    pub fn signs(_: &Attack) -> Box<dyn Method> {
        Box::new(Self::Signs)
    }

    pub fn gaussian(_: &Attack) -> Box<dyn Method> {
        Box::new(Self::Gaussian)
    }

    fn drawn(self, rows: &mut Rows<'_>) -> Direction {
        let noise = rows.noise(match self {
            Self::Signs => Random::sign,
            Self::Gaussian => Random::normal,
        });
        Direction { direction: rows.inside(noise), held: self == Self::Signs, wished: None, gradient: None, loss: None }
    }
}

impl Method for Noise {
    fn norm(&self) -> Option<Norm> {
        match self {
            Self::Signs => Some(Norm::Linf),
            Self::Gaussian => None,
        }
    }

    fn draws(&self) -> Use {
        match self {
            Self::Signs => Use::Control,
            Self::Gaussian => Use::Noise,
        }
    }

    fn run(&self, rows: &mut Rows<'_>, _: &mut Observer<'_>) -> Result<Found, AttackError> {
        let direction = self.drawn(rows).direction;
        Ok(Found::without_gradient(rows.x.clone() + direction * rows.ball.epsilon.clone()))
    }

    fn direction(&self, rows: &mut Rows<'_>) -> Result<Option<Direction>, AttackError> {
        Ok(Some(self.drawn(rows)))
    }
}
