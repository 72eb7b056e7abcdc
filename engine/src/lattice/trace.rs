//! One designed strut followed through the built part.
//!
//! Planes across its axis where the lattice around it is built (see `carried`), every half cell of the scan or tenth of the strut's diameter (of a
//! mesh), cut the built surface in curves; the closed one nearest to the axis is the strut's section. Where the design lets other struts come
//! near (at nodes) sections are no strut's, and only whether there is material on the strut's own centre line is asked. Where the image does
//! not reach nothing is told: a strut that it shows in part is not measured, unless the part seen is at fault.

use nalgebra::{Point2, Point3, Vector2, Vector3};

use super::FaultLimits;
use super::design::Segment;
use super::noise::Noise;
use super::section::{Along, Curve, sections};
use super::slices::{Profile, Shows, Slice};
use super::view::{Grain, View};
use crate::distance::MeshDistance;

const DIAGONAL: f64 = std::f64::consts::FRAC_1_SQRT_2;
/// Directions around an axis; each and the one half the list on are opposite.
pub(super) const RIM: [(f64, f64); 8] = [
    (1.0, 0.0),
    (DIAGONAL, DIAGONAL),
    (0.0, 1.0),
    (-DIAGONAL, DIAGONAL),
    (-1.0, 0.0),
    (-DIAGONAL, -DIAGONAL),
    (0.0, -1.0),
    (DIAGONAL, -DIAGONAL),
];
/// How far aside of its axis a strut is looked for, in diameters.
pub(super) const REACH: f64 = 2.0;
/// Sections of less than this share of the designed area are debris, unless nothing else is on the axis.
const LEAST_SHARE: f64 = 0.1;
/// How much thicker than designed a strut beside may be built.
pub(super) const THICKER: f64 = 1.15;
/// Stations along a strut at least and at most.
const STATIONS: [usize; 2] = [8, 512];
/// A strut of which more than this share of its free length holds no material is missing.
const MISSING: f64 = 0.5;
/// Sections that must carry a diameter, of those free of other struts.
const MEASURED: f64 = 0.25;

/// What became of a designed strut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Present,
    /// Thinner than its limit.
    Thin,
    /// A gap between solid ends.
    Broken,
    /// Whole, but a free end lies back.
    Shortened,
    /// No material over more than half its length.
    Missing,
    /// Not measured, for the reason given.
    Unmeasured,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Present => "present",
            State::Thin => "thin",
            State::Broken => "broken",
            State::Shortened => "shortened",
            State::Missing => "missing",
            State::Unmeasured => "unmeasured",
        }
    }

    /// One of the faults that are told.
    pub fn is_bad(self) -> bool {
        matches!(self, State::Thin | State::Broken | State::Shortened | State::Missing)
    }

    /// It stands in one piece and is measured.
    pub fn is_whole(self) -> bool {
        matches!(self, State::Present | State::Thin | State::Shortened)
    }
}

/// A strut as built. Diameters are area-equivalent, mm.
#[derive(Clone, Debug, PartialEq)]
pub struct Traced {
    pub state: State,
    /// Mean over the sections clear of other struts.
    pub diameter_mm: Option<f64>,
    pub smallest_diameter_mm: Option<f64>,
    /// Standard uncertainty of the mean from noise.
    pub diameter_noise_mm: f64,
    /// Distance of the mean centre from the designed axis.
    pub offset_mm: Option<f64>,
    /// Root mean square distance of the centres from their straight line.
    pub waviness_mm: Option<f64>,
    /// What noise alone would make of it.
    pub waviness_noise_mm: f64,
    /// Longest stretch without material between solid ends.
    pub gap_mm: f64,
    /// How far a free end lies back.
    pub short_mm: f64,
    /// Share of the free length without material.
    pub absent: f64,
    /// Distance between sections: how sharply gaps are told, mm.
    pub step_mm: f64,
    pub line: Option<Line>,
    /// What planes across it show, from the first node on, where that is kept; none of a strut that is not looked at.
    pub slices: Vec<Slice>,
    /// Why it is not measured.
    pub reason: Option<String>,
}

/// The straight line through the centres of a built strut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Mean centre.
    pub place: Point3<f64>,
    pub direction: Vector3<f64>,
    /// Standard uncertainties from noise: aside at `place`, mm, and of the direction, rad.
    pub aside_u_mm: f64,
    pub turn_u: f64,
}

/// The built surface with what the scan resolves.
pub(super) struct Built<'a> {
    pub surface: &'a MeshDistance,
    /// The design that it is to look like, in the same frame.
    pub nominal: &'a MeshDistance,
    /// Mean height that each facet cuts off, mm; empty where none is known.
    pub cut_mm: Vec<f32>,
    /// Thinnest strut whose diameter is unbiased, mm.
    pub resolved_mm: f64,
    pub grain: Grain,
    /// How far the image reaches; `None` of a mesh.
    pub view: Option<View>,
    pub noise: Noise,
    /// Whether slices are kept.
    pub keeps_slices: bool,
}

/// What a plane across a strut shows.
enum Station {
    /// With the outline, for its slice.
    Own(Section, Vec<Point2<f64>>),
    /// Material, but no curve of the strut's own.
    Joined,
    Absent,
}

/// A strut's own section, about the axis that it is looked for at.
#[derive(Clone, Copy)]
pub(super) struct Section {
    pub height_mm: f64,
    pub centre: Vector2<f64>,
    pub area_mm2: f64,
    pub length_mm: f64,
}

/// Follows a designed strut where it is looked for, `at`.
pub(super) fn trace(own: &Segment, at: &Segment, beside: &[Segment], built: &Built, limits: &FaultLimits) -> Traced {
    if 2.0 * own.radius_mm < built.resolved_mm {
        return Traced::not(format!(
            "it is designed {:.3} mm thick and the scan shows {:.3} mm and more unbiased: scan with smaller voxels",
            2.0 * own.radius_mm,
            built.resolved_mm
        ));
    }
    let path = Path::new(own, at, beside, built, limits.gap_mm);
    if !path.clear.contains(&true) {
        let why = if path.is_cut { OUT_OF_VIEW } else { "it is too short between its nodes to be told from them" };
        return Traced::not(why.into());
    }
    let stations = path.stations(built);
    let own_section = |s: &Option<Station>| if let Some(Station::Own(section, _)) = s { Some(*section) } else { None };
    let sections: Vec<Section> = stations.iter().filter_map(own_section).collect();
    let fitted = Fitted::of(&sections);
    let empty = path.empty(&stations, &fitted, built);
    let share = |of: &[bool]| {
        of.iter().zip(&empty).filter(|(of, empty)| **of && **empty).count() as f64 / of.iter().filter(|of| **of).count() as f64
    };
    let [gap_mm, short_mm] = path.longest_gaps_mm(&empty);
    let mut traced =
        Traced { gap_mm, short_mm, absent: share(&path.free), step_mm: path.step_mm, reason: None, ..Traced::not(String::new()) };
    let clear = path.clear.iter().filter(|c| **c).count() as f64;
    let measured = sections.len() >= 2 && sections.len() as f64 >= MEASURED * clear * (1.0 - share(&path.clear));
    if measured {
        traced.size(&sections, &fitted, &path, built);
    }
    if built.keeps_slices {
        traced.slices = (0..stations.len()).map(|k| path.slice(k, &stations[k], empty[k], &fitted, built)).collect();
    }
    let told_mm = traced.told_gap_mm(limits);
    traced.state = match traced.diameter_mm {
        _ if traced.absent > MISSING => State::Missing,
        _ if traced.gap_mm >= told_mm => State::Broken,
        Some(d) if d < limits.thin * 2.0 * own.radius_mm => State::Thin,
        Some(_) if traced.short_mm >= told_mm => State::Shortened,
        _ if path.is_cut => {
            traced.reason = Some(OUT_OF_VIEW.into());
            State::Unmeasured
        }
        Some(_) => State::Present,
        None => {
            traced.reason = Some("its sections run together with other material".into());
            State::Unmeasured
        }
    };
    traced
}

const OUT_OF_VIEW: &str = "the image does not reach all of it: scan the whole lattice, or name a region that the image holds";

impl Traced {
    /// Gaps of its length and more are told, mm: that stated, where sections are near enough.
    pub fn told_gap_mm(&self, limits: &FaultLimits) -> f64 {
        limits.gap_mm.max(1.5 * self.step_mm)
    }

    fn not(reason: String) -> Traced {
        Traced {
            state: State::Unmeasured,
            diameter_mm: None,
            smallest_diameter_mm: None,
            diameter_noise_mm: 0.0,
            offset_mm: None,
            waviness_mm: None,
            waviness_noise_mm: 0.0,
            gap_mm: 0.0,
            short_mm: 0.0,
            absent: 0.0,
            step_mm: 0.0,
            line: None,
            slices: vec![],
            reason: Some(reason),
        }
    }

    fn size(&mut self, sections: &[Section], fitted: &Fitted, path: &Path, built: &Built) {
        let count = sections.len() as f64;
        let diameters = || sections.iter().map(|s| fitted.diameter_mm(s.area_mm2));
        self.diameter_mm = Some(diameters().sum::<f64>() / count);
        self.smallest_diameter_mm = Some(diameters().fold(f64::INFINITY, f64::min));
        let place = path.along.place(&Point2::from(fitted.centre), fitted.height_mm);
        self.offset_mm = Some((place - path.own.from).cross(&path.own.axis()).norm());
        let squares: f64 = sections.iter().map(|s| (s.centre - fitted.at(s.height_mm)).norm_squared()).sum();
        self.waviness_mm = Some((squares / count).sqrt());
        // A diameter is twice the mean around, a centre along either axis twice the first harmonic, of half the mean square.
        let around_mm = sections.iter().map(|s| s.length_mm).sum::<f64>() / count;
        let (one_mm, all_mm) = (built.noise.along_mm(around_mm), built.noise.over_mm(around_mm, count * path.step_mm));
        self.diameter_noise_mm = 2.0 * all_mm;
        self.waviness_noise_mm = 2.0 * one_mm;
        let aside_u_mm = 2.0_f64.sqrt() * all_mm;
        let spread = (fitted.spread_mm2 / count).sqrt();
        self.line = Some(Line {
            place,
            direction: (path.along.axes[2] + path.along.axes[0] * fitted.slope.x + path.along.axes[1] * fitted.slope.y).normalize(),
            aside_u_mm,
            turn_u: aside_u_mm / spread.max(1e-9),
        });
    }
}

/// Where a strut is cut, and how much room it has there.
struct Path<'a> {
    own: &'a Segment,
    /// Where it is looked for; planes cut the built surface across its axis. What is designed nearby is known from the designed strut.
    at: &'a Segment,
    along: Along,
    step_mm: f64,
    heights_mm: Vec<f64>,
    /// Neither another strut nor other designed material comes near.
    clear: Vec<bool>,
    /// The axis lies outside of both.
    free: Vec<bool>,
    /// Distance to the nearest axis of another strut, mm.
    room_mm: Vec<f64>,
    /// The image reaches there.
    seen: Vec<bool>,
    /// It does not reach all of what is free.
    is_cut: bool,
    /// Nothing is designed beyond the first, and the last end.
    ends_free: [bool; 2],
}

/// Planes across a strut of a length, about a step apart.
fn stations(length_mm: f64, step_mm: f64) -> usize {
    ((length_mm / step_mm).ceil() as usize).clamp(STATIONS[0], STATIONS[1])
}

/// Memory that the slices of a strut take, bytes.
pub(super) fn slices_bytes(own: &Segment, grain: Grain, gap_mm: f64) -> u64 {
    let (step_mm, _) = grain.of(2.0 * own.radius_mm, gap_mm);
    (stations(own.length_mm(), step_mm) * size_of::<Slice>()) as u64
}

impl<'a> Path<'a> {
    fn new(own: &'a Segment, at: &'a Segment, beside: &[Segment], built: &Built, gap_mm: f64) -> Path<'a> {
        let length = own.length_mm();
        let (step_mm, joined_mm) = built.grain.of(2.0 * own.radius_mm, gap_mm);
        let count = stations(length, step_mm);
        let along = Along::new(own.from, own.axis());
        let heights_of = |length: f64| (0..count).map(|k| (k as f64 + 0.5) * length / count as f64).collect::<Vec<f64>>();
        let heights_mm = heights_of(length);
        let far = 2.0 * REACH * own.radius_mm;
        // More than touching by what the scan joins; and struts are built thicker than designed.
        let apart = |radius_mm: f64| THICKER * radius_mm + joined_mm;
        let ring = |radius_mm: f64, h: f64| RIM.map(|(x, y)| along.place(&Point2::new(x * radius_mm, y * radius_mm), h));
        let mut free = vec![true; count];
        let (mut clear, room_mm): (Vec<bool>, Vec<f64>) = (heights_mm.iter().zip(&mut free))
            .map(|(&h, free)| {
                let middle = along.place(&Point2::origin(), h);
                let rim = ring(own.radius_mm, h);
                let beyond = |other: &Segment| {
                    let apart = apart(other.radius_mm);
                    other.axis_distance_mm(&middle) > apart && rim.iter().all(|p| other.axis_distance_mm(p) > apart)
                };
                *free = beside.iter().all(|o| o.axis_distance_mm(&middle) > o.radius_mm);
                (beside.iter().all(beyond), beside.iter().map(|o| o.axis_distance_mm(&middle)).fold(far, f64::min))
            })
            .unzip();
        // Plates and solids that the strut runs into are designed too, but no struts; a plane that holds half the ring holds the axis.
        let met = |h: f64| ring(apart(own.radius_mm), h).iter().filter(|p| built.nominal.contains(p) == Some(true)).count();
        let met: Vec<usize> = free.iter().zip(&heights_mm).map(|(&free, &h)| if free { met(h) } else { RIM.len() }).collect();
        // A nominal that is solid all along shows the envelope of the lattice, not its struts.
        if (0..count).any(|k| clear[k] && met[k] == 0) {
            (0..count).for_each(|k| (clear[k], free[k]) = (clear[k] && met[k] == 0, free[k] && 2 * met[k] < RIM.len()));
        }
        // A free end is at most a half ball beyond its node.
        let is_free = |end: &Point3<f64>, way: f64| {
            let beyond = end + along.axes[2] * (way * 2.0 * own.radius_mm);
            beside.iter().all(|o| o.axis_distance_mm(end) > o.radius_mm) && built.nominal.contains(&beyond) != Some(true)
        };
        let ends_free = [is_free(&own.from, -1.0), is_free(&own.to, 1.0)];
        let (along, length) = (Along::new(at.from, at.axis()), at.length_mm());
        let heights_mm = heights_of(length);
        let shows = |h: &f64| built.view.is_none_or(|view| view.shows(&along.place(&Point2::origin(), *h), own.radius_mm));
        let seen: Vec<bool> = heights_mm.iter().map(shows).collect();
        clear.iter_mut().zip(&seen).for_each(|(clear, seen)| *clear &= seen);
        let is_cut = free.iter().zip(&seen).any(|(free, seen)| *free && !seen);
        Path { own, at, along, step_mm: length / count as f64, heights_mm, clear, free, room_mm, seen, is_cut, ends_free }
    }

    /// What is seen where no other strut is near; `None` elsewhere.
    fn stations(&self, built: &Built) -> Vec<Option<Station>> {
        let margin = (2.0 * REACH - 1.0) * self.own.radius_mm;
        let triangles = built.surface.reaching_into(&self.at.hull(margin));
        let heights: Vec<f64> = (0..self.clear.len()).filter(|&k| self.clear[k]).map(|k| self.heights_mm[k]).collect();
        let mut cut = sections(built.surface.mesh(), &triangles, &built.cut_mm, &self.along, &heights).into_iter();
        (0..self.clear.len())
            .map(|k| {
                let curves = self.clear[k].then(|| cut.next()).flatten()?;
                Some(self.station(&curves, k, built))
            })
            .collect()
    }

    fn station(&self, curves: &[Curve], k: usize, built: &Built) -> Station {
        let least = LEAST_SHARE * std::f64::consts::PI * self.own.radius_mm * self.own.radius_mm;
        let aside = |c: &Curve| c.centroid.coords.norm();
        let solid = || curves.iter().filter(|c| c.closed && c.area_mm2 > 0.0);
        let is_own = |c: &&Curve| c.area_mm2 > least && aside(c) <= 0.5 * self.room_mm[k] && c.reach_mm <= self.room_mm[k];
        let own = |own: &Curve| {
            let hollows = curves.iter().filter(|c| c.closed && c.area_mm2 < 0.0 && own.surrounds(&c.points[0]));
            let area_mm2 = hollows.fold(own.area_mm2 + own.cut_mm2, |sum, c| sum + c.area_mm2 + c.cut_mm2);
            let section = Section { height_mm: self.heights_mm[k], centre: own.centroid.coords, area_mm2, length_mm: own.length_mm };
            Station::Own(section, if built.keeps_slices { own.points.clone() } else { vec![] })
        };
        if let Some(nearest) = solid().filter(is_own).min_by(|a, b| aside(a).total_cmp(&aside(b))) {
            return own(nearest);
        }
        if !self.material(self.heights_mm[k], &Vector2::zeros(), built) {
            return Station::Absent;
        }
        // Material on the axis that is small by itself is what was built of the strut.
        let on_axis = solid().filter(|c| c.area_mm2 <= least && aside(c) <= 0.5 * self.own.radius_mm);
        on_axis.max_by(|a, b| a.area_mm2.total_cmp(&b.area_mm2)).map_or(Station::Joined, own)
    }

    /// Whether there is material at the centre line or half-way from it to the strut's surface: a hollow in its middle is no gap.
    fn material(&self, height_mm: f64, centre: &Vector2<f64>, built: &Built) -> bool {
        let aside = 0.5 * self.own.radius_mm;
        let around = [(0.0, 0.0), (aside, 0.0), (-aside, 0.0), (0.0, aside), (0.0, -aside)];
        around.iter().any(|&(x, y)| {
            let p = self.along.place(&Point2::new(centre.x + x, centre.y + y), height_mm);
            built.surface.contains(&p) == Some(true)
        })
    }

    /// Where there is no material.
    fn empty(&self, stations: &[Option<Station>], fitted: &Fitted, built: &Built) -> Vec<bool> {
        let is_empty = |k: usize| match &stations[k] {
            Some(station) => matches!(station, Station::Absent),
            None => self.seen[k] && !self.material(self.heights_mm[k], &fitted.at(self.heights_mm[k]), built),
        };
        (0..stations.len()).map(is_empty).collect()
    }

    /// A station as it is told.
    fn slice(&self, k: usize, station: &Option<Station>, is_empty: bool, fitted: &Fitted, built: &Built) -> Slice {
        let at_mm = self.heights_mm[k];
        let (centre, shows) = match station {
            Some(Station::Own(section, outline)) => {
                let sizes_mm = [fitted.diameter_mm(section.area_mm2), 2.0 * built.noise.along_mm(section.length_mm)];
                (section.centre, Shows::Section(Profile::of(outline, &section.centre, &fitted.slope, sizes_mm)))
            }
            _ if !self.seen[k] => (Vector2::zeros(), Shows::Unseen),
            _ if is_empty => (Vector2::zeros(), Shows::Empty),
            _ => (Vector2::zeros(), Shows::Material),
        };
        Slice { at_mm, place: self.along.place(&Point2::from(centre), at_mm), is_free: self.clear[k], shows }
    }

    /// The longest stretch without material between solid ends, and at a free end. A stretch that ends at a node counts if it reaches where no
    /// other strut is near.
    fn longest_gaps_mm(&self, empty: &[bool]) -> [f64; 2] {
        let last = empty.len() - 1;
        let mut longest = [0; 2];
        let mut k = 0;
        while k <= last {
            let run = empty[k..].iter().take_while(|e| **e).count();
            let (from, to) = (k, k + run);
            let at_end = [from == 0, to > last];
            if run > 0 && (at_end == [false; 2] || self.clear[from..to].contains(&true)) {
                let is_free = (0..2).any(|end| at_end[end] && self.ends_free[end]);
                let longest = &mut longest[usize::from(is_free)];
                *longest = run.max(*longest);
            }
            k = to.max(from + 1);
        }
        longest.map(|run| run as f64 * self.step_mm)
    }
}

/// The straight line through the centres of sections: `centre + slope · (height - height_mm)`.
pub(super) struct Fitted {
    height_mm: f64,
    centre: Vector2<f64>,
    slope: Vector2<f64>,
    spread_mm2: f64,
}

impl Fitted {
    pub fn of(sections: &[Section]) -> Fitted {
        let count = sections.len().max(1) as f64;
        let height_mm = sections.iter().map(|s| s.height_mm).sum::<f64>() / count;
        let centre = sections.iter().fold(Vector2::zeros(), |sum, s| sum + s.centre) / count;
        let spread_mm2: f64 = sections.iter().map(|s| (s.height_mm - height_mm) * (s.height_mm - height_mm)).sum();
        let moment = sections.iter().fold(Vector2::zeros(), |sum: Vector2<f64>, s| sum + s.centre * (s.height_mm - height_mm));
        // Two neighbouring sections give no direction.
        let slope = if sections.len() > 2 { moment / spread_mm2 } else { Vector2::zeros() };
        Fitted { height_mm, centre, slope, spread_mm2 }
    }

    /// Area-equivalent diameter: a plane across the axis cuts a leaning strut in an ellipse.
    fn diameter_mm(&self, area_mm2: f64) -> f64 {
        let upright = 1.0 / (1.0 + self.slope.norm_squared()).sqrt();
        2.0 * (area_mm2 * upright / std::f64::consts::PI).sqrt()
    }

    pub fn at(&self, height_mm: f64) -> Vector2<f64> {
        self.centre + self.slope * (height_mm - self.height_mm)
    }
}
