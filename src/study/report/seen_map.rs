//! Where the perturbation is seen: a metric's map of each ε, all in one scale of colours, which the limit of what is not seen sets:
//! by the largest ε's values those near the limit would be blank.

use super::html::Picture;
use super::panel::hex;
use super::{PanelLook, PanelPictures, ReportError, encode_png};
use crate::metric::{ImagePair, MetricMap, butteraugli, flip};
use crate::study::{Limit, SeenMetric, SeenPlan};
use crate::view::{Theme, palette};
use maud::{Markup, html};

/// The darkest colour stands for so many times the limit.
const TIMES: f64 = 4.0;

/// The maps of a report.
#[derive(Clone, Debug)]
pub struct SeenMaps {
    /// Of which metric.
    pub metric: SeenMetric,
    /// Up to here it is taken for not seen.
    pub limit: f64,
    /// What the darkest colour stands for, and for all above it.
    pub top: f32,
    /// One for each ε; none where the metric is not defined for such images.
    pub pictures: Vec<Option<Picture>>,
}

/// The metric whose map is shown: FLIP where it was asked for and Butteraugli was not.
pub(super) fn metric(plan: &SeenPlan) -> SeenMetric {
    let asked = |metric| plan.metrics.contains(&metric);
    if asked(SeenMetric::Flip) && !asked(SeenMetric::Butteraugli) { SeenMetric::Flip } else { SeenMetric::Butteraugli }
}

/// Up to where `metric` is taken for not seen: as was said, else as is usual.
pub(super) fn limit(metric: SeenMetric, said: Option<Limit>) -> f64 {
    match said {
        Some(Limit::Metric { metric: of, value }) if of == metric && value > 0.0 => value,
        _ => metric.usual_limit(),
    }
}

/// The map of two images of one shape (channels, height, width) in fractions of the bounds, as `plan` shows them; none where its
/// metric is not defined for them.
pub(super) fn map(plan: &SeenPlan, original: &[f32], adversarial: &[f32], shape: [usize; 3]) -> Option<MetricMap> {
    let [a, b] = [original, adversarial].map(|image| plan.presentation.shown(image));
    let pair = ImagePair::new(&a, &b, shape).ok()?;
    match metric(plan) {
        SeenMetric::Flip => flip(&pair, plan.pixels_per_degree).ok(),
        _ => butteraugli(&pair).ok(),
    }
}

impl SeenMaps {
    /// Draws maps of one size in a scale set by `limit`; nothing if there are none.
    pub(super) fn draw(
        metric: SeenMetric,
        limit: f64,
        maps: &[Option<MetricMap>],
        look: &PanelLook,
    ) -> Result<Option<Self>, ReportError> {
        if maps.iter().all(Option::is_none) {
            return Ok(None);
        }
        let top = (TIMES * limit) as f32;
        let picture = |map: &MetricMap| -> Result<Picture, ReportError> {
            let pictures = PanelPictures {
                channels: 1,
                height: map.height,
                width: map.width,
                original: &[],
                adversarial: &[],
                clean_probability: &[],
                adversarial_probability: &[],
                classes: None,
                look,
            };
            let drawn = pictures.map_tile(&map.map, top)?;
            Ok(Picture { png: encode_png(&drawn)?, width: drawn.width(), height: drawn.height() })
        };
        let pictures = maps.iter().map(|map| map.as_ref().map(picture).transpose()).collect::<Result<_, _>>()?;
        Ok(Some(Self { metric, limit, top, pictures }))
    }

    /// What stands under each map.
    pub(super) fn scale(&self) -> Markup {
        let stops: Vec<String> =
            (0..=8).map(|i| hex(palette::diverging(Theme::Light, i as f32 / 8.0)).to_string()).collect();
        html! {
            p.scale { "0 " span.bar style={ "background:linear-gradient(to right," (stops.join(",")) ")" } {} " " (self.top) " or more" }
            p.scale { (TIMES) " times the limit of " (self.limit) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_maps_have_one_scale() {
        let (size, plan) = (32, SeenPlan::default());
        let original = vec![0.5; size * size];
        let changed = |by: f32| -> Vec<f32> {
            let sign = |i: usize| if (i % size / 2 + i / size / 2).is_multiple_of(2) { by } else { -by };
            original.iter().enumerate().map(|(i, v)| v + sign(i)).collect()
        };
        let maps: Vec<Option<MetricMap>> =
            [0.0, 0.002, 0.02, 0.2].iter().map(|by| map(&plan, &original, &changed(*by), [1, size, size])).collect();
        let values: Vec<f64> = maps.iter().map(|m| m.as_ref().unwrap().value).collect();
        assert!(values[0] == 0.0 && values[1] > 0.0 && values.is_sorted(), "{values:?}");
        let draw = |maps: &[Option<MetricMap>]| {
            let limit = limit(metric(&plan), None);
            SeenMaps::draw(metric(&plan), limit, maps, &PanelLook::default()).unwrap().unwrap()
        };
        let drawn = draw(&maps);
        assert_eq!((drawn.metric, drawn.pictures.len()), (SeenMetric::Butteraugli, 4));
        let darkness: Vec<u64> = drawn
            .pictures
            .iter()
            .map(|p| {
                let picture = image::load_from_memory(&p.as_ref().unwrap().png).unwrap().to_rgb8();
                picture.pixels().map(|p| p.0.iter().map(|v| u64::from(255 - v)).sum::<u64>()).sum()
            })
            .collect();
        assert!(darkness[0] < darkness[1] && darkness[1] < darkness[2] && darkness[2] <= darkness[3], "{darkness:?}");
        let scale = drawn.scale().into_string();
        assert!(scale.contains("4 or more") && scale.contains("4 times the limit of 1"), "{scale}");
        // A larger ε beside it changes nothing of a map.
        let png = |drawn: &SeenMaps| drawn.pictures[2].as_ref().unwrap().png.clone();
        assert_eq!(png(&drawn), png(&draw(&maps[..3])));
        assert!(map(&plan, &[0.5; 16], &[0.6; 16], [1, 4, 4]).is_none(), "too small");
        assert!(SeenMaps::draw(SeenMetric::Flip, 0.05, &[None], &PanelLook::default()).unwrap().is_none());
        let asked = SeenPlan { metrics: vec![SeenMetric::Flip], ..SeenPlan::default() };
        assert_eq!(metric(&asked), SeenMetric::Flip);
        let said = |metric| Some(Limit::Metric { metric, value: 0.1 });
        assert_eq!(limit(SeenMetric::Flip, said(SeenMetric::Flip)), 0.1);
        assert_eq!(limit(SeenMetric::Flip, said(SeenMetric::Psnr)), SeenMetric::Flip.usual_limit());
    }
}
