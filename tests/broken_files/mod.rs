//! Small files made byte by byte: valid ones to start from, and one broken one for every code of a fault.

/// A cube of 10 mm as binary STL whose header begins as given.
pub fn cube_stl(header: &[u8]) -> Vec<u8> {
    let corner = |i: usize| [i & 1, i >> 1 & 1, i >> 2].map(|x| x as f32 * 10.0);
    let quads = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]];
    let triangles: Vec<[[f32; 3]; 3]> = quads.iter().flat_map(|&[a, b, c, d]| [[a, b, c].map(corner), [a, c, d].map(corner)]).collect();
    stl(header, &triangles)
}

fn stl(header: &[u8], triangles: &[[[f32; 3]; 3]]) -> Vec<u8> {
    let mut bytes = header.to_vec();
    bytes.resize(80, 0);
    bytes.extend((triangles.len() as u32).to_le_bytes());
    for t in triangles {
        bytes.extend([0; 12]);
        t.iter().flatten().for_each(|x| bytes.extend(x.to_le_bytes()));
        bytes.extend([0; 2]);
    }
    bytes
}

/// 2 x 2 x 2 voxels as MetaImage with further header lines.
pub fn mha(element: &str, lines: &str, voxels: &[u8]) -> Vec<u8> {
    let header = format!(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\n{lines}DimSize = 2 2 2\nElementType = {element}\nElementDataFile = LOCAL\n"
    );
    [header.as_bytes(), voxels].concat()
}

/// 2 x 2 x 2 voxels as NIfTI with slope 2 and intercept -1; without an sform, a qform of half a turn about z.
pub fn nifti(datatype: i16, bits: i16, sform: Option<[[f32; 4]; 3]>, voxels: &[u8]) -> Vec<u8> {
    let mut h = vec![0u8; 352];
    let mut put = |at: usize, bytes: &[u8]| h[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &348i32.to_le_bytes());
    [3i16, 2, 2, 2, 1, 1, 1, 1].iter().enumerate().for_each(|(i, d)| put(40 + 2 * i, &d.to_le_bytes()));
    put(70, &datatype.to_le_bytes());
    put(72, &bits.to_le_bytes());
    [1f32, 1.5, 2.0, 2.5].iter().enumerate().for_each(|(i, d)| put(76 + 4 * i, &d.to_le_bytes()));
    put(108, &352f32.to_le_bytes());
    put(112, &2f32.to_le_bytes());
    put(116, &(-1f32).to_le_bytes());
    put(123, &[2]);
    match sform {
        Some(rows) => {
            put(254, &1i16.to_le_bytes());
            rows.iter().flatten().enumerate().for_each(|(i, x)| put(280 + 4 * i, &x.to_le_bytes()));
        }
        None => {
            put(252, &1i16.to_le_bytes());
            [0f32, 0.0, 1.0, 1.0, 2.0, 3.0].iter().enumerate().for_each(|(i, x)| put(256 + 4 * i, &x.to_le_bytes()));
        }
    }
    put(344, b"n+1\0");
    h.extend(voxels);
    h
}

/// A DICOM image of a patient called Doe.
pub struct Dicom {
    pub syntax: String,
    pub modality: String,
    pub series: String,
    pub instance: i32,
    pub position: [f64; 3],
    pub turned: bool,
    pub placed: bool,
    pub rows: u16,
    pub columns: u16,
    pub samples: u16,
    pub frames: u16,
    pub bits: u16,
    pub bits_stored: u16,
    pub rescale: Option<[f64; 2]>,
    pub lossy: bool,
    pub image: bool,
    pub fragments: bool,
    pub values: Vec<i16>,
}

impl Default for Dicom {
    fn default() -> Self {
        Dicom {
            syntax: "1.2.840.10008.1.2.1".into(),
            modality: "CT".into(),
            series: "1.2.3".into(),
            instance: 1,
            position: [0.0; 3],
            turned: false,
            placed: true,
            rows: 2,
            columns: 3,
            samples: 1,
            frames: 1,
            bits: 16,
            bits_stored: 16,
            rescale: Some([1.0, -24.0]),
            lossy: false,
            image: true,
            fragments: false,
            values: vec![-1000, 10, 20, 30, 40, 50],
        }
    }
}

impl Dicom {
    pub fn bytes(&self) -> Vec<u8> {
        let mut meta = vec![];
        Writer { out: &mut meta, explicit: true, big: false }.text((2, 0x10), b"UI", &self.syntax);
        let mut out = vec![0u8; 128];
        out.extend(b"DICM");
        let length = meta.len() as u32;
        Writer { out: &mut out, explicit: true, big: false }.element((2, 0), b"UL", &length.to_le_bytes());
        out.extend(meta);
        let big = self.syntax == "1.2.840.10008.1.2.2";
        let mut w = Writer { out: &mut out, explicit: self.syntax != "1.2.840.10008.1.2", big };
        w.text((8, 0x08), b"CS", "ORIGINAL\\PRIMARY\\AXIAL");
        w.text((8, 0x60), b"CS", &self.modality);
        w.text((8, 0x70), b"LO", "Maker");
        w.text((0x10, 0x10), b"PN", "Doe^Jane");
        w.text((0x18, 0x50), b"DS", "1.25");
        w.text((0x18, 0x60), b"DS", "120");
        w.text((0x18, 0x1210), b"SH", "BONE");
        w.text((0x20, 0x0E), b"UI", &self.series);
        w.text((0x20, 0x13), b"IS", &self.instance.to_string());
        if self.placed {
            w.text((0x20, 0x32), b"DS", &self.position.map(|x| x.to_string()).join("\\"));
            w.text((0x20, 0x37), b"DS", if self.turned { "1\\0\\0\\0\\0.8\\0.6" } else { "1\\0\\0\\0\\1\\0" });
        }
        if self.image {
            self.pixels(&mut w);
        }
        out
    }

    fn pixels(&self, w: &mut Writer) {
        w.short((0x28, 0x02), self.samples);
        w.text((0x28, 0x04), b"CS", "MONOCHROME2");
        if self.frames > 1 {
            w.text((0x28, 0x08), b"IS", &self.frames.to_string());
        }
        w.short((0x28, 0x10), self.rows);
        w.short((0x28, 0x11), self.columns);
        if self.placed {
            w.text((0x28, 0x30), b"DS", "0.75\\0.5");
        }
        w.short((0x28, 0x100), self.bits);
        w.short((0x28, 0x101), self.bits_stored);
        w.short((0x28, 0x102), self.bits_stored.wrapping_sub(1));
        w.short((0x28, 0x103), 1);
        if let Some([slope, intercept]) = self.rescale {
            w.text((0x28, 0x1052), b"DS", &intercept.to_string());
            w.text((0x28, 0x1053), b"DS", &slope.to_string());
        }
        if self.lossy {
            w.text((0x28, 0x2110), b"CS", "01");
        }
        let big = w.big;
        let values: Vec<u8> = self.values.iter().flat_map(|v| if big { v.to_be_bytes() } else { v.to_le_bytes() }).collect();
        if self.fragments {
            w.out.extend([0xE0, 0x7F, 0x10, 0x00, b'O', b'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
            for fragment in [&[][..], &values] {
                w.out.extend([0xFE, 0xFF, 0x00, 0xE0]);
                w.out.extend((fragment.len() as u32).to_le_bytes());
                w.out.extend(fragment);
            }
            w.out.extend([0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
        } else {
            w.element((0x7FE0, 0x10), b"OW", &values);
        }
    }
}

/// Writes data elements in one of the plain encodings.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    explicit: bool,
    big: bool,
}

impl Writer<'_> {
    fn put16(&mut self, v: u16) {
        self.out.extend(if self.big { v.to_be_bytes() } else { v.to_le_bytes() });
    }

    fn put32(&mut self, v: u32) {
        self.out.extend(if self.big { v.to_be_bytes() } else { v.to_le_bytes() });
    }

    fn element(&mut self, (group, element): (u16, u16), vr: &[u8; 2], value: &[u8]) {
        self.put16(group);
        self.put16(element);
        let length = value.len() as u32;
        match (self.explicit, vr) {
            (false, _) => self.put32(length),
            (true, b"OW" | b"SQ") => {
                self.out.extend(vr);
                self.put16(0);
                self.put32(length);
            }
            (true, _) => {
                self.out.extend(vr);
                self.put16(length as u16);
            }
        }
        self.out.extend(value);
    }

    fn text(&mut self, tag: (u16, u16), vr: &[u8; 2], value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        if bytes.len() % 2 == 1 {
            bytes.push(if vr == b"UI" { 0 } else { b' ' });
        }
        self.element(tag, vr, &bytes);
    }

    fn short(&mut self, tag: (u16, u16), value: u16) {
        let bytes = if self.big { value.to_be_bytes() } else { value.to_le_bytes() };
        self.element(tag, b"US", &bytes);
    }
}

/// Name, code and bytes of every broken file.
pub fn all() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let cube = cube_stl(b"");
    let nan = stl(b"", &[[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, f32::NAN, 0.0]]]);
    let vast = stl(b"", &[[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 3e9, 0.0]]]);
    let ply = |count: &str, faces: &str, body: &str| {
        let xyz = "property float x\nproperty float y\nproperty float z\n";
        format!("ply\nformat ascii 1.0\nelement vertex {count}\n{xyz}element face {faces}\nproperty list uchar int vertex_indices\nend_header\n{body}").into_bytes()
    };
    let short = |v: [i16; 8]| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let mut huge = mha("MET_UCHAR", "", &[0; 8]);
    huge = String::from_utf8(huge).expect("text").replace("DimSize = 2 2 2", "DimSize = 4000000000 4000000000 2").into_bytes();
    let text = |bytes: Vec<u8>, from: &str, to: &str| String::from_utf8(bytes).expect("text").replace(from, to).into_bytes();
    let mut nan_voxel: Vec<u8> = [0f32; 8].iter().flat_map(|x| x.to_le_bytes()).collect();
    nan_voxel[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
    let big_integer: Vec<u8> = [0i64, 1, -(1 << 53), (1 << 53) + 1, 0, 0, 0, 0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut slope = nifti(4, 16, None, &short([0; 8]));
    slope[112..116].copy_from_slice(&f32::INFINITY.to_le_bytes());
    let mut flat = nifti(4, 16, Some([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]), &short([0; 8]));
    flat.truncate(368);
    let mut time = nifti(2, 8, None, &[0; 16]);
    time[40..50].copy_from_slice(&[4, 0, 2, 0, 2, 0, 2, 0, 2, 0]);
    let mut header_only = Dicom::default().bytes();
    header_only.truncate(300);
    let mut value_representation = Dicom::default().bytes();
    value_representation[132 + 12 + 8 + 20 + 4] = b'?';
    let gzip_of = |bytes: &[u8]| {
        use std::io::Write;
        let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::none());
        gzip.write_all(bytes).expect("memory");
        gzip.finish().expect("memory")
    };
    let mut corrupt = gzip_of(&nifti(4, 16, None, &short([1; 8])));
    corrupt[10] = 0x07; // a block type that deflate does not have
    let long_header = [&b"ply\ncomment "[..], &[b'x'; 900], b"\n"].concat();
    vec![
        ("empty_file.stl", "file.truncated", vec![]),
        ("cut.stl", "file.truncated", cube[..cube.len() - 1].to_vec()),
        ("cut_ascii.stl", "file.truncated", b"solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\n".to_vec()),
        ("longer_than_stated.stl", "file.malformed", [&cube[..], b"?"].concat()),
        ("no_number.stl", "file.malformed", b"solid a\nfacet\nouter loop\nvertex 0 0 zero\nendloop\nendfacet\nendsolid\n".to_vec()),
        ("two_corners.stl", "file.malformed", b"solid a\nfacet\nvertex 0 0 0\nvertex 1 0 0\nendfacet\nendsolid\n".to_vec()),
        ("no_triangles.stl", "mesh.empty", stl(b"", &[])),
        ("no_triangles_ascii.stl", "mesh.empty", b"solid a\nendsolid a\n".to_vec()),
        ("not_a_number.stl", "mesh.not_finite", nan),
        ("beyond_a_kilometre.stl", "mesh.not_finite", vast),
        ("cut.ply", "file.truncated", ply("3", "1", "0 0 0 1 0 0 0 1 0 3 0 1")),
        ("more_stated_than_there.ply", "file.truncated", ply("4000000000", "1", "0 0 0\n")),
        ("header_without_end.ply", "file.truncated", long_header),
        ("unknown_type.ply", "file.malformed", text(ply("3", "1", ""), "float x", "quad x")),
        ("no_coordinates.ply", "file.malformed", text(ply("3", "1", "0 0 0 1 0 0 0 1 0 3 0 1 2"), "float x", "float u")),
        ("two_corners.ply", "file.malformed", ply("3", "1", "0 0 0 1 0 0 0 1 0 2 0 1")),
        ("no_vertices.ply", "mesh.empty", ply("0", "0", "")),
        ("vertex_that_is_not_there.ply", "mesh.index", ply("3", "1", "0 0 0 1 0 0 0 1 0 3 0 1 3")),
        ("not_a_number.ply", "mesh.not_finite", ply("3", "1", "0 0 0 1 nan 0 0 1 0 3 0 1 2")),
        ("anything.bin", "file.unknown_format", b"GIF89a, for example".to_vec()),
        ("not_nifti.gz", "file.unknown_format", gzip_of(&[7; 400])),
        ("cut.mha", "file.truncated", mha("MET_SHORT", "", &[0; 15])),
        (
            "more_than_can_be_packed.mha",
            "file.truncated",
            text(mha("MET_UCHAR", "CompressedData = True\n", &[0; 8]), "2 2 2", "2000 2000 2000"),
        ),
        ("beyond_all_memory.mha", "file.too_large", huge),
        ("no_size.mha", "file.malformed", text(mha("MET_UCHAR", "", &[0; 8]), "DimSize", "Dimensions")),
        ("corrupt_stream.mha", "file.malformed", mha("MET_UCHAR", "CompressedData = True\n", b"\x78\x9c\x07\x00\x00\x00\x00\x00")),
        ("vectors.mha", "volume.dimensions", mha("MET_UCHAR", "ElementNumberOfChannels = 3\n", &[0; 24])),
        ("arrays.mha", "volume.voxel_type", mha("MET_UCHAR_ARRAY", "", &[0; 8])),
        ("flat.mha", "volume.geometry", mha("MET_UCHAR", "ElementSpacing = 1 0 1\n", &[0; 8])),
        ("beyond_2_53.mha", "volume.not_exact", mha("MET_LONG_LONG", "", &big_integer)),
        ("not_a_number.mha", "volume.not_finite", mha("MET_FLOAT", "", &nan_voxel)),
        ("file_elsewhere.mhd", "volume.data_file", text(mha("MET_UCHAR", "", &[]), "LOCAL", "../voxels.raw")),
        ("file_not_there.mhd", "volume.data_file", text(mha("MET_UCHAR", "", &[]), "LOCAL", "voxels.raw")),
        ("cut.nii", "file.truncated", nifti(4, 16, None, &[0; 15])),
        ("corrupt.nii.gz", "file.malformed", corrupt),
        ("complex.nii", "volume.voxel_type", nifti(32, 64, None, &[0; 64])),
        ("over_time.nii", "volume.dimensions", time),
        ("flat.nii", "volume.geometry", flat),
        ("no_slope.nii", "volume.rescale", slope),
        ("cut.dcm", "file.truncated", header_only),
        ("unknown_vr.dcm", "file.malformed", value_representation),
        ("no_bits.dcm", "dicom.attribute", Dicom { bits_stored: 0, ..Dicom::default() }.bytes()),
        ("odd_bits.dcm", "volume.voxel_type", Dicom { bits: 24, ..Dicom::default() }.bytes()),
        ("colour.dcm", "volume.dimensions", Dicom { samples: 3, ..Dicom::default() }.bytes()),
        ("fewer_pixels.dcm", "file.truncated", Dicom { rows: 9, ..Dicom::default() }.bytes()),
        ("no_slope.dcm", "volume.rescale", Dicom { rescale: Some([0.0, 0.0]), ..Dicom::default() }.bytes()),
        ("jpeg_ls.dcm", "file.malformed", Dicom { syntax: "1.2.840.10008.1.2.4.80".into(), fragments: true, ..Dicom::default() }.bytes()),
        (
            "bad_fragments.dcm",
            "file.malformed",
            Dicom { syntax: "1.2.840.10008.1.2.4.70".into(), fragments: true, ..Dicom::default() }.bytes(),
        ),
        ("no_image.dcm", "dicom.no_image", Dicom { image: false, ..Dicom::default() }.bytes()),
        ("frames.dcm", "dicom.multi_frame", Dicom { frames: 2, values: vec![0; 12], ..Dicom::default() }.bytes()),
        ("folder_without_images/readme.txt", "file.unknown_format", b"A folder of a series holds its images.\n".to_vec()),
    ]
}
