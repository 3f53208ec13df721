//! How long the window's frames take while ε is dragged.

/// How many frames are kept.
const KEPT: usize = 600;

/// A ring of frame times, in seconds.
#[derive(Clone, Debug, Default)]
pub struct FrameTimes {
    times: Vec<f32>,
    next: usize,
}

impl FrameTimes {
    /// Adds the time of one frame, in seconds.
    pub fn add(&mut self, secs: f32) {
        if self.times.len() < KEPT {
            self.times.push(secs);
        } else {
            self.times[self.next] = secs;
        }
        self.next = (self.next + 1) % KEPT;
    }

    /// How many frames are known.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether no frame is known.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// The time in seconds that 99 of 100 frames do not exceed; `None` before ten frames.
    pub fn p99_secs(&self) -> Option<f32> {
        if self.times.len() < 10 {
            return None;
        }
        let mut sorted = self.times.clone();
        sorted.sort_by(f32::total_cmp);
        let index = (sorted.len() * 99).div_ceil(100).saturating_sub(1);
        sorted.get(index).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p99_leaves_out_one_in_a_hundred() {
        let mut times = FrameTimes::default();
        assert_eq!(times.p99_secs(), None);
        for _ in 0..198 {
            times.add(0.008);
        }
        times.add(0.5);
        times.add(0.4);
        assert_eq!(times.p99_secs(), Some(0.008));
        times.add(0.3);
        assert_eq!(times.p99_secs(), Some(0.3));
        for _ in 0..KEPT {
            times.add(0.004);
        }
        assert_eq!((times.len(), times.p99_secs()), (KEPT, Some(0.004)));
    }
}
