//! Where an adversarial image may be: the ball of radius ε round the original, the bounds [0, 1], the region that may be
//! touched, and limits for each pixel where a case has them.

use super::Norm;
use super::random::Random;
use crate::kernel::signed_step;
use crate::model::ModelError;
use crate::tensor::to_host;
use burn::tensor::{Tensor, TensorData};

/// The set of images that an attack may choose from, for each image of a batch.
#[derive(Clone, Debug)]
pub(super) struct Ball {
    /// The norm that ε bounds; `None` where only bounds, region and limits do.
    pub norm: Option<Norm>,
    /// The originals, `[batch, channels, height, width]`.
    pub x: Tensor<4>,
    /// ε of each image, `[batch, 1, 1, 1]`.
    pub epsilon: Tensor<4>,
    lower: Tensor<4>,
    upper: Tensor<4>,
}

impl Ball {
    /// The ball of `norm` round `x`, within [0, 1], within `limits` (the smallest and largest value of each pixel, of
    /// the shape of `x`) and equal to `x` where `region` (`[1 or batch, 1, height, width]`) is 0.
    ///
    /// An L∞ ball is rounded inwards: what is in it is within ε of the original in exact arithmetic.
    pub fn new(
        norm: Option<Norm>,
        x: &Tensor<4>,
        epsilons: &[f64],
        limits: Option<&(Tensor<4>, Tensor<4>)>,
        region: Option<&Tensor<4>>,
    ) -> Result<Self, ModelError> {
        let (device, shape) = (x.device(), x.dims());
        let of_epsilons: Vec<f32> = epsilons.iter().map(|&e| e as f32).collect();
        let epsilon = Tensor::from_data(TensorData::new(of_epsilons, [epsilons.len(), 1, 1, 1]), &device);
        let (mut lower, mut upper) = match norm {
            Some(Norm::Linf) => {
                let values = to_host(x.clone())?;
                let size = (values.len() / shape[0].max(1)).max(1);
                let sides = |side: fn(f32, f64) -> f32| {
                    let of_image = |(image, e): (&[f32], &f64)| image.iter().map(|&v| side(v, *e)).collect::<Vec<_>>();
                    let all: Vec<f32> = values.chunks(size).zip(epsilons).flat_map(of_image).collect();
                    Tensor::<4>::from_data(TensorData::new(all, shape), &device)
                };
                (sides(lowest), sides(highest))
            }
            _ => (x.zeros_like(), x.ones_like()),
        };
        if let Some((least, most)) = limits {
            lower = lower.max_pair(least.clone());
            upper = upper.min_pair(most.clone());
        }
        if let Some(region) = region {
            let closed = region.clone().lower_elem(0.5).expand(shape);
            lower = lower.mask_where(closed.clone(), x.clone());
            upper = upper.mask_where(closed, x.clone());
        }
        Ok(Self { norm, x: x.clone(), epsilon, lower, upper })
    }

    /// The smallest and largest value of each pixel.
    pub fn box_of(&self) -> (Tensor<4>, Tensor<4>) {
        (self.lower.clone(), self.upper.clone())
    }

    /// 1 where a pixel may be changed, 0 where region, limits or ε leave it no room.
    pub fn free(&self) -> Tensor<4> {
        self.upper.clone().greater(self.lower.clone()).float()
    }

    /// The nearest image within: for L2 first the ball, then bounds, region and limits, as Foolbox and torchattacks do.
    pub fn project(&self, image: Tensor<4>) -> Tensor<4> {
        let image = match self.norm {
            Some(Norm::L2) => {
                let delta = image - self.x.clone();
                let size = Norm::L2.of(delta.clone()).clamp_min(1e-30);
                let scale = (self.epsilon.clone() / size).clamp_max(1.0);
                self.x.clone() + delta * scale
            }
            _ => image,
        };
        image.max_pair(self.lower.clone()).min_pair(self.upper.clone())
    }

    /// [`Ball::project`] of x + `length` · sign(gradient), with one length for each row, of the shape of ε.
    pub fn signed_step(&self, x: &Tensor<4>, gradient: Tensor<4>, length: Tensor<4>) -> Tensor<4> {
        if self.norm != Some(Norm::L2)
            && let Some(image) = signed_step(x, &gradient, &length, [&self.lower, &self.upper])
        {
            return image;
        }
        self.project(x.clone() + Norm::Linf.steepest(gradient) * length)
    }

    /// A uniform random image of the ball for each row, in the pixels that may be changed.
    pub fn random(&self, random: &mut [Random]) -> Result<Tensor<4>, ModelError> {
        let shape = self.x.dims();
        let size: usize = shape[1..].iter().product();
        let free = match self.norm {
            Some(Norm::L2) => to_host(self.free())?,
            _ => Vec::new(),
        };
        let mut values = Vec::with_capacity(size * shape[0]);
        for random in random {
            match self.norm {
                Some(Norm::L2) => {
                    // A normal vector has a uniform direction; the share of the ball within r grows as r to the size. What may
                    // not be changed is no dimension of the ball.
                    let from = values.len();
                    values.extend((0..size).map(|i| random.normal() * free[from + i]));
                    let dimensions = free[from..from + size].iter().filter(|&&f| f > 0.0).count().max(1);
                    let squares = values[from..].iter().map(|&v: &f32| f64::from(v) * f64::from(v)).sum::<f64>();
                    let scale = random.unit().powf(1.0 / dimensions as f64) / squares.sqrt().max(1e-30);
                    values[from..].iter_mut().for_each(|v| *v = (f64::from(*v) * scale) as f32);
                }
                _ => values.extend((0..size).map(|_| random.signed())),
            }
        }
        let start: Tensor<4> = Tensor::from_data(TensorData::new(values, shape), &self.x.device());
        Ok(self.project(self.x.clone() + start * self.epsilon.clone()))
    }

    /// The balls of the images `index`, in that order.
    pub fn select(&self, index: &[usize]) -> Self {
        let of = |t: &Tensor<4>| crate::tensor::rows(t.clone(), index);
        Self {
            norm: self.norm,
            x: of(&self.x),
            epsilon: of(&self.epsilon),
            lower: of(&self.lower),
            upper: of(&self.upper),
        }
    }

    /// Takes back what rounding has added to an L2 norm above ε, so that it holds in exact arithmetic.
    pub fn settle(&self, image: Tensor<4>, epsilons: &[f64]) -> Result<Tensor<4>, ModelError> {
        if self.norm != Some(Norm::L2) {
            return Ok(image);
        }
        let (shape, device) = (image.dims(), image.device());
        let (mut values, originals) = (to_host(image)?, to_host(self.x.clone())?);
        let size = (originals.len() / shape[0].max(1)).max(1);
        for ((image, original), &epsilon) in values.chunks_mut(size).zip(originals.chunks(size)).zip(epsilons) {
            within_l2(image, original, epsilon);
        }
        Ok(Tensor::from_data(TensorData::new(values, shape), &device))
    }
}

/// Brings `values` to within `radius` of `originals` in L2, in exact arithmetic as far as 64 bits have it. Every value is
/// rounded towards its original, so that rounding never adds to the norm.
pub fn within_l2(values: &mut [f32], originals: &[f32], radius: f64) {
    let norm = l2(values, originals);
    if norm <= radius {
        return;
    }
    let keep = radius / norm * (1.0 - 1e-9);
    for (v, &x) in values.iter_mut().zip(originals) {
        let change = (f64::from(*v) - f64::from(x)) * keep;
        let near = (f64::from(x) + change) as f32;
        *v = match f64::from(near) - f64::from(x) {
            beyond if beyond > change.max(0.0) => near.next_down(),
            beyond if beyond < change.min(0.0) => near.next_up(),
            _ => near,
        };
    }
}

/// ‖a − b‖₂.
fn l2(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>().sqrt()
}

/// The smallest value that is within `epsilon` below `x`, and not below 0.
pub fn lowest(x: f32, epsilon: f64) -> f32 {
    let exact = f64::from(x) - epsilon;
    let near = exact as f32;
    if f64::from(near) < exact { near.next_up() } else { near }.max(0.0)
}

/// The largest value that is within `epsilon` above `x`, and not above 1.
pub fn highest(x: f32, epsilon: f64) -> f32 {
    let exact = f64::from(x) + epsilon;
    let near = exact as f32;
    if f64::from(near) > exact { near.next_down() } else { near }.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::random::Use;
    use burn::tensor::Device;

    #[test]
    fn nothing_in_a_ball_is_farther_than_epsilon() {
        let mut random = Random::new(Use::Start, 3, 0, 0);
        for _ in 0..10_000 {
            let x = random.unit() as f32;
            let epsilon = random.unit() * [1e-6, 1.0 / 255.0, 1.0][(random.unit() * 3.0) as usize];
            for v in [lowest(x, epsilon), highest(x, epsilon)] {
                assert!((f64::from(v) - f64::from(x)).abs() <= epsilon && (0.0..=1.0).contains(&v), "{x}, {epsilon}");
            }
        }
    }

    #[test]
    fn random_points_fill_the_ball() {
        let device = Device::flex();
        let x = Tensor::<4>::full([200, 1, 1, 2], 0.5, &device);
        for norm in [Norm::Linf, Norm::L2] {
            let epsilons = vec![0.25; 200];
            let ball = Ball::new(Some(norm), &x, &epsilons, None, None).unwrap();
            let mut seeds: Vec<Random> = (0..200).map(|i| Random::new(Use::Start, 7, i, 0)).collect();
            let points = ball.settle(ball.random(&mut seeds).unwrap(), &epsilons).unwrap();
            let sizes = to_host(norm.of(points - x.clone())).unwrap();
            assert!(sizes.iter().all(|&s| s <= 0.25 + 1e-7), "{norm:?}");
            // Half of a disc or square lies beyond 1/√2 of its radius.
            let outer = sizes.iter().filter(|&&s| s > 0.25 * 0.5f32.sqrt()).count();
            assert!((70..=130).contains(&outer), "{norm:?}: {outer} of 200");
        }
    }
    #[test]
    fn random_points_of_an_l2_ball_fill_its_region() {
        let device = Device::flex();
        let x = Tensor::<4>::full([200, 1, 10, 10], 0.5, &device);
        let region: Vec<f32> = (0..100).map(|i| if i < 2 { 1.0 } else { 0.0 }).collect();
        let region = Tensor::<4>::from_data(TensorData::new(region, [1, 1, 10, 10]), &device);
        let ball = Ball::new(Some(Norm::L2), &x, &[0.25; 200], None, Some(&region)).unwrap();
        let mut seeds: Vec<Random> = (0..200).map(|i| Random::new(Use::Start, 7, i, 0)).collect();
        let sizes = to_host(Norm::L2.of(ball.random(&mut seeds).unwrap() - x)).unwrap();
        // The region has two pixels: half of their disc lies beyond 1/√2 of its radius.
        let outer = sizes.iter().filter(|&&s| s > 0.25 * 0.5f32.sqrt()).count();
        assert!((70..=130).contains(&outer), "{outer} of 200");
    }
}
