//! Modes of air and material, and the thresholds they give.

use super::{Histogram, SegmentError};
use crate::finding::Finding;

/// The histogram is smoothed with triangles of this part of its inner range.
const BANDWIDTH: f64 = 0.01;
/// A peak stands out of the valley beside it by this part of its height, and by this many standard deviations of its counts.
const PROMINENCE: f64 = 0.15;
const SIGNIFICANCE: f64 = 5.0;
/// Logarithm of a material's peak over its saddle, at least, where several materials are asked for: ln 5.
const LEAST_PROMINENCE: f64 = 1.6094379124341003;

/// A part that is edge all over has so many voxels above half-way, at least, and so many standard deviations of the air's noise between.
const SMALLEST: u64 = 200;
const CLEAR: f64 = 12.0;

/// Grey values of air and material (physical) and how well each is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Modes {
    pub air: f64,
    pub material: f64,
    /// Standard uncertainty of each mode from the number of voxels and the width of its peak, as [air, material].
    pub u: [f64; 2],
    /// Voxels at the low end that were left out as padding.
    pub padding: u64,
    /// Whether these are modes; otherwise they are values typical of the classes beside a threshold.
    pub from_peaks: bool,
}

impl Modes {
    /// Half-way between air and material.
    pub fn threshold(&self) -> f64 {
        0.5 * (self.air + self.material)
    }

    pub fn contrast(&self) -> f64 {
        self.material - self.air
    }

    pub(crate) fn finding(&self, threshold: f64) -> Finding {
        let what = if self.from_peaks {
            "modes of the histogram"
        } else {
            "typical of both sides (the histogram has no two modes, or not those that edges show)"
        };
        let padding = if self.padding > 0 { format!("; {} voxels of padding left out", self.padding) } else { String::new() };
        let text = format!(
            "threshold {}; {what}: air {}, material {}{padding}",
            short(threshold, self.contrast()),
            short(self.air, self.contrast()),
            short(self.material, self.contrast())
        );
        Finding::note("surface.modes", text)
    }
}

/// Grey values to a thousandth of the contrast.
fn short(value: f64, contrast: f64) -> String {
    let decimals = (3.0 - libm::log10(contrast.abs().max(1e-30)).floor()).clamp(0.0, 12.0);
    format!("{value:.*}", decimals as usize)
}

impl Histogram {
    /// Air and material from the peaks on both sides of Otsu's threshold.
    pub fn modes(&self) -> Result<Modes, SegmentError> {
        let all = self.ascending();
        let padded = padding(&all);
        // Padding is left out only where two modes remain: an ideal picture of two grey values is not padding and material.
        let mut without = all.clone();
        without[..padded].fill(0);
        let found = (padded > 0).then(|| self.two_peaks(&without)).and_then(Result::ok);
        let excluded = if found.is_some() { all[..padded].iter().sum() } else { 0 };
        let mut modes = found.map_or_else(|| self.two_peaks(&all), Ok)?;
        modes.padding = excluded;
        Ok(modes)
    }

    /// Otsu's threshold (1979, eq. 18) in physical units.
    pub fn otsu(&self) -> Result<f64, SegmentError> {
        let counts = self.ascending();
        otsu(&counts).map(|b| self.physical(b as f64 + 0.5)).ok_or_else(|| self.no_contrast(&counts, "one grey value"))
    }

    /// The classes' means beside a physical threshold, where there are no modes to be had.
    pub fn means(&self, threshold: f64) -> Modes {
        let counts = self.ascending();
        let split = (self.position(threshold).ceil().max(0.0) as usize).min(counts.len());
        let mean = |from: usize, to: usize| mean(&counts, from, to).map_or(threshold, |m| self.physical(m));
        let (air, material) = (mean(0, split), mean(split, counts.len()));
        Modes { air, material, u: [0.1 * (material - air).abs(); 2], padding: 0, from_peaks: false }
    }

    /// Air and a part so small that it is edge all over: the mode of air and the upper quartile of what lies above half-way to it. `None` where
    /// less than [`SMALLEST`] voxels do, or no clearer than [`CLEAR`] standard deviations of the air.
    pub(crate) fn air_and_edges(&self) -> Option<Modes> {
        let mut counts = self.ascending();
        let padded = padding(&counts);
        counts[..padded].fill(0);
        let half = half_width(&counts);
        let smooth = smoothed(&counts, half);
        let peak = peaks(&smooth, half).into_iter().max_by(|&a, &b| smooth[a].total_cmp(&smooth[b]).then(b.cmp(&a)))?;
        let (air, u_air) = centre(&counts, peak, half, counts.len());
        // From the upper side: the lower one may be clipped. Half of a normal distribution's upper half lies within 0.6745 standard deviations.
        let (median, _) = exceeded_by_one_in(2, &counts, air.ceil() as usize + 1)?;
        let spread = ((median - air) / 0.6745).max(0.5);
        let mut material = air + 2.0 * CLEAR * spread;
        for _ in 0..50 {
            let from = (0.5 * (air + material)).ceil() as usize;
            let (quartile, above) = exceeded_by_one_in(4, &counts, from)?;
            if above < SMALLEST || material - air < CLEAR * spread {
                return None;
            }
            if quartile == material {
                break;
            }
            material = quartile;
        }
        let per_bin = (self.physical(1.0) - self.physical(0.0)).abs();
        let u = [u_air, 0.1 * (material - air)].map(|u| u * per_bin);
        Some(Modes {
            air: self.physical(air),
            material: self.physical(material),
            u,
            padding: self.ascending()[..padded].iter().sum(),
            from_peaks: false,
        })
    }

    /// Modes of air and of so many materials, from the darkest up: of the peaks that stand out those that stand out most, by the part of
    /// their height over the saddle to a higher one, which must be five times at least: the grey values between two materials, which edges fill,
    /// make no such peak. A material needs a thousandth of the voxels at least.
    pub fn materials(&self, materials: u8) -> Result<Vec<Modes>, SegmentError> {
        let mut counts = self.ascending();
        let padded = padding(&counts);
        counts[..padded].fill(0);
        let half = half_width(&counts);
        let smooth = smoothed(&counts, half);
        let peaks = peaks(&smooth, half);
        let wanted = usize::from(materials) + 1;
        let mut chosen: Vec<usize> = (0..peaks.len()).filter(|&n| prominence(&smooth, &peaks, n) >= LEAST_PROMINENCE).collect();
        if chosen.len() < wanted {
            return Err(SegmentError::FewModes { found: chosen.len(), wanted });
        }
        chosen.sort_by(|&a, &b| prominence(&smooth, &peaks, b).total_cmp(&prominence(&smooth, &peaks, a)).then(a.cmp(&b)));
        chosen.truncate(wanted);
        chosen.sort_unstable();
        let at: Vec<usize> = chosen.iter().map(|&n| peaks[n]).collect();
        let per_bin = (self.physical(1.0) - self.physical(0.0)).abs();
        let apart = |n: usize| {
            let below = n.checked_sub(1).map_or(usize::MAX, |m| at[n] - at[m]);
            below.min(at.get(n + 1).map_or(usize::MAX, |next| next - at[n]))
        };
        let found: Vec<(f64, f64)> = (0..wanted).map(|n| centre(&counts, at[n], half, apart(n))).collect();
        let mode = |n: usize| (self.physical(found[n].0), found[n].1 * per_bin);
        let between = |n: usize| {
            let ((air, u_air), (material, u_material)) = (mode(n), mode(n + 1));
            Modes { air, material, u: [u_air, u_material], padding: 0, from_peaks: true }
        };
        Ok((0..wanted - 1).map(between).collect())
    }

    fn two_peaks(&self, counts: &[u64]) -> Result<Modes, SegmentError> {
        let split = otsu(counts).ok_or_else(|| self.no_contrast(counts, "one grey value"))?;
        let half = half_width(counts);
        let smooth = smoothed(counts, half);
        let peaks = peaks(&smooth, half);
        let highest = |below: bool| {
            let side = peaks.iter().filter(|&&p| (p <= split) == below);
            side.max_by(|&&a, &&b| smooth[a].total_cmp(&smooth[b]).then(b.cmp(&a))).copied()
        };
        let (Some(air), Some(material)) = (highest(true), highest(false)) else {
            let text = format!("{} peak(s) that stand out", peaks.len());
            return Err(self.no_contrast(counts, &text));
        };
        let apart = material - air;
        let (air, u_air) = centre(counts, air, half, apart);
        let (material, u_material) = centre(counts, material, half, apart);
        let per_bin = (self.physical(1.0) - self.physical(0.0)).abs();
        Ok(Modes {
            air: self.physical(air),
            material: self.physical(material),
            u: [u_air * per_bin, u_material * per_bin],
            padding: 0,
            from_peaks: true,
        })
    }

    fn no_contrast(&self, counts: &[u64], found: &str) -> SegmentError {
        let first = counts.iter().position(|&c| c > 0).unwrap_or(0);
        let last = counts.iter().rposition(|&c| c > 0).unwrap_or(0);
        SegmentError::NoContrast { min: self.physical(first as f64), max: self.physical(last as f64), found: found.into() }
    }
}

/// The bin that one in so many voxels of the bins from `from` up lie in or above, and how many there are.
fn exceeded_by_one_in(part: u64, counts: &[u64], from: usize) -> Option<(f64, u64)> {
    let above: u64 = counts.get(from..)?.iter().sum();
    let mut left = above / part;
    let bin = (from..counts.len()).rev().find(|&b| {
        left = left.saturating_sub(counts[b]);
        left == 0
    })?;
    Some((bin as f64, above))
}

/// Number of bins at the low end that hold padding: one occupied bin, then nothing for a twentieth of the range.
fn padding(counts: &[u64]) -> usize {
    let first = counts.iter().position(|&c| c > 0).unwrap_or(0);
    let gap = counts[first + 1..].iter().take_while(|&&c| c == 0).count();
    if gap * 20 > counts.len() - first && first + 1 + gap < counts.len() { first + 1 } else { 0 }
}

/// The last bin of the lower class, which maximises the variance between the classes.
fn otsu(counts: &[u64]) -> Option<usize> {
    let total: f64 = counts.iter().map(|&c| c as f64).sum();
    let moment: f64 = counts.iter().enumerate().map(|(b, &c)| b as f64 * c as f64).sum();
    let (mut below, mut below_moment, mut best) = (0.0, 0.0, (0.0, None));
    let (mut first, mut last) = (None, None);
    for (b, &count) in counts.iter().enumerate() {
        below += count as f64;
        below_moment += b as f64 * count as f64;
        let above = total - below;
        if below == 0.0 || above == 0.0 {
            continue;
        }
        let apart = below_moment / below - (moment - below_moment) / above;
        let between = below * above * apart * apart;
        if between > best.0 {
            best = (between, Some(b));
            first = Some(b);
        }
        if between == best.0 {
            last = Some(b);
        }
    }
    // Between two separate classes every threshold is as good: the middle one.
    best.1.and(first.zip(last).map(|(a, b)| (a + b) / 2))
}

/// Half the width of the smoothing triangle: a part of the range that holds all but a thousandth of the voxels at either end.
fn half_width(counts: &[u64]) -> usize {
    let total: u64 = counts.iter().sum();
    let mut seen = 0;
    let quantile = |rank: u64, seen: &mut u64, counts: &mut dyn Iterator<Item = u64>| {
        let mut n = 0;
        for c in counts {
            *seen += c;
            if *seen > rank {
                break;
            }
            n += 1;
        }
        n
    };
    let low = quantile(total / 1000, &mut seen, &mut counts.iter().copied());
    seen = 0;
    let high = counts.len() - quantile(total / 1000, &mut seen, &mut counts.iter().rev().copied());
    ((high.saturating_sub(low)) as f64 * BANDWIDTH).ceil() as usize
}

/// Convolution with a triangle of unit area: two running means. Beyond the ends there is nothing.
fn smoothed(counts: &[u64], half: usize) -> Vec<f64> {
    let reach = half / 2;
    let mean = |values: &[f64]| -> Vec<f64> {
        let mut sums = vec![0.0];
        values.iter().fold(0.0, |s, v| {
            sums.push(s + v);
            s + v
        });
        let within = |b: usize| sums[(b + reach + 1).min(values.len())] - sums[b.saturating_sub(reach)];
        (0..values.len()).map(|b| within(b) / (2 * reach + 1) as f64).collect()
    };
    // With room for the triangle at both ends, so that a peak in the first bin stays there.
    let room = vec![0.0; reach];
    let values: Vec<f64> = room.iter().copied().chain(counts.iter().map(|&c| c as f64)).chain(room.iter().copied()).collect();
    mean(&mean(&values))[reach..reach + counts.len()].to_vec()
}

/// Bins of the peaks that stand out: higher than everything until a valley lower by [`PROMINENCE`] and [`SIGNIFICANCE`] on both sides.
fn peaks(smooth: &[f64], half: usize) -> Vec<usize> {
    // A smoothed count of n comes from about n times the width of the triangle.
    let width = (2 * (half / 2) + 1) as f64;
    let valley = |peak: f64| (peak * (1.0 - PROMINENCE)).min(peak - SIGNIFICANCE * (peak * width).sqrt() / width);
    let mut found = vec![];
    let (mut high, mut low, mut rising) = (0, f64::NEG_INFINITY, true);
    let mut low_at_start = 0.0; // before the first bin there is nothing
    for (b, &value) in smooth.iter().chain(std::iter::once(&0.0)).enumerate() {
        if rising {
            if value > smooth[high] {
                high = b;
            }
            if value < valley(smooth[high]) {
                if valley(smooth[high]) > low_at_start {
                    found.push(high);
                }
                (rising, low) = (false, value);
            }
        } else {
            low = low.min(value);
            if valley(value) > low {
                (rising, high, low_at_start) = (true, b.min(smooth.len() - 1), low);
            }
        }
    }
    found
}

/// How far a peak stands above the higher of the two saddles that lead to higher ones: logarithm of the ratio, infinite for the highest.
fn prominence(smooth: &[f64], peaks: &[usize], n: usize) -> f64 {
    let height = smooth[peaks[n]];
    let lowest = |from: usize, to: usize| smooth[from.min(to)..=from.max(to)].iter().copied().fold(f64::INFINITY, f64::min);
    let below = peaks[..n].iter().rev().find(|&&p| smooth[p] >= height).map_or(0.0, |&p| lowest(p, peaks[n]));
    let above = peaks[n + 1..].iter().find(|&&p| smooth[p] > height).map_or(0.0, |&p| lowest(p, peaks[n]));
    libm::log(height / below.max(above))
}

/// The mean of the voxels near a peak and its standard uncertainty, in bins.
///
/// A window twice the half-height width of the peak, moved to its own mean until it rests: the tails of the edge voxels, which lie on
/// one side only, weigh little.
fn centre(counts: &[u64], peak: usize, half: usize, apart: usize) -> (f64, f64) {
    let at = |b: i64| usize::try_from(b).ok().and_then(|b| counts.get(b)).map_or(0.0, |&c| c as f64);
    let height = |b: usize, r: usize| (b.saturating_sub(r)..=b + r).map(|b| at(b as i64)).sum::<f64>() / (2 * r + 1) as f64;
    let r = half / 4;
    let top = height(peak, r);
    let reach =
        |step: i64| (1..(apart / 4).max(1) as i64).find(|n| height((peak as i64 + step * n).max(0) as usize, r) < 0.5 * top).unwrap_or(1);
    let window = (reach(1).min(reach(-1)) as f64).max(0.5);
    let mut mid = peak as f64;
    let mut spread = (0.0, 1.0);
    for _ in 0..50 {
        let (from, to) = ((mid - window).ceil() as i64, (mid + window).floor() as i64);
        let (mut n, mut s, mut ss) = (0.0, 0.0, 0.0);
        for b in from..=to {
            let (c, d) = (at(b), b as f64 - mid);
            (n, s, ss) = (n + c, s + c * d, ss + c * d * d);
        }
        if n == 0.0 {
            break;
        }
        let shift = s / n;
        spread = (ss / n, n);
        mid += shift;
        if shift.abs() < 1e-3 {
            break;
        }
    }
    // The window's truncation makes the spread too small by about a half; the bin's own width is the floor.
    let u = (4.0 * spread.0 / spread.1 + 1.0 / 12.0).sqrt();
    (mid, u)
}

fn mean(counts: &[u64], from: usize, to: usize) -> Option<f64> {
    let n: f64 = counts[from..to].iter().map(|&c| c as f64).sum();
    let s: f64 = counts[from..to].iter().enumerate().map(|(b, &c)| (from + b) as f64 * c as f64).sum();
    (n > 0.0).then(|| s / n)
}
