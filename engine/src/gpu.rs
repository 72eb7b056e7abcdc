//! The only place that names wgpu: adapters, device, buffers, programs, dispatch, readback.
//!
//! Kernels see bytes and programs. A buffer never exceeds [`Gpu::slab_bytes`] (the adapter's limits, at most 128 MiB, less
//! where a caller asks), so a kernel cuts its data into slabs and works on any volume; a dispatch of many items is cut into
//! submissions short enough for a watchdog and laid out in two dimensions where one is too short. Every program begins with
//! `shaders/item.wgsl`: binding 0 holds the range of items of a submission and the kernel's parameters, buffers follow.
//!
//! Faults of the device arrive through callbacks; every call that waits for the device returns the first one as an error.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytemuck::Pod;
use thiserror::Error;

/// Work items of a workgroup; the shaders' `@workgroup_size`.
const WORKGROUP: u64 = 64;
/// No slab is larger, whatever the adapter allows: the smallest limit that all adapters keep.
const LARGEST_SLAB: u64 = 128 << 20;
/// Smallest slab that kernels can cut their data into: one word of 64 voxels of 8 bytes and some parameters.
const SMALLEST_SLAB: u64 = 1024;
/// Items of one submission: milliseconds of work, far below any watchdog.
const ITEMS_PER_SUBMISSION: u64 = 1 << 24;
/// A device that does not answer for so long is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why the GPU could not do it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GpuError {
    #[error("no usable GPU adapter: found {found}; allowed are Vulkan adapters: install a driver or use the cpu backend")]
    NoAdapter { found: String },
    #[error("the GPU was lost ({why}): restart, or use the cpu backend")]
    Lost { why: String },
    #[error("the GPU is out of memory ({why}): close other programs, or use the cpu backend")]
    OutOfMemory { why: String },
    #[error("{what} needs {needed} bytes in one piece on the GPU, allowed are {allowed}: use the cpu backend")]
    Limits { what: &'static str, needed: u64, allowed: u64 },
    #[error("the GPU's driver refused a program or call ({why}): update the driver, or use the cpu backend")]
    Refused { why: String },
}

impl GpuError {
    pub fn code(&self) -> &'static str {
        match self {
            GpuError::NoAdapter { .. } => "gpu.no_adapter",
            GpuError::Lost { .. } => "gpu.lost",
            GpuError::OutOfMemory { .. } => "gpu.out_of_memory",
            GpuError::Limits { .. } => "gpu.limits",
            GpuError::Refused { .. } => "gpu.refused",
        }
    }
}

impl From<GpuError> for crate::Error {
    fn from(e: GpuError) -> Self {
        crate::Error::resource(e.code(), e.to_string())
    }
}

/// What an adapter is, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdapterKind {
    Discrete,
    Integrated,
    Virtual,
    Other,
    /// Shaders run on the processor: right, but slower than the CPU paths.
    Software,
}

/// One adapter as `backends` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterInfo {
    pub name: String,
    pub kind: AdapterKind,
    pub driver: String,
    /// The interface it is driven through, such as `vulkan`.
    pub backend: String,
    pub largest_binding_bytes: u64,
    pub largest_buffer_bytes: u64,
    pub groups_per_dimension: u32,
}

/// How to open a GPU; the default takes hardware alone and the largest slabs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Software adapters will do: the caller asked for a GPU by name.
    pub accept_software: bool,
    /// Slabs no larger than this, to meet every boundary in tests.
    pub slab_bytes: Option<u64>,
    /// Fewer items a submission than usual, likewise.
    pub items_per_submission: Option<u64>,
    /// Changes the text of a program (given its name) before it is compiled, so that tests can show that they would notice.
    pub edit_program: Option<fn(&str, String) -> String>,
}

/// An adapter with its device and queue; clones share it.
#[derive(Clone)]
pub struct Gpu(Arc<Opened>);

struct Opened {
    info: AdapterInfo,
    options: Options,
    slab_bytes: u64,
    items_per_submission: u64,
    device: wgpu::Device,
    queue: wgpu::Queue,
    fault: Arc<Mutex<Option<GpuError>>>,
    programs: Mutex<BTreeMap<String, wgpu::ComputePipeline>>,
}

/// Memory on the device, in whole 32-bit words.
pub struct Buffer {
    memory: wgpu::Buffer,
    bytes: u64,
}

/// A compiled entry point of a shader.
pub struct Program(wgpu::ComputePipeline);

/// All adapters, best first.
pub fn adapters() -> Vec<AdapterInfo> {
    found().iter().map(describe).collect()
}

impl Gpu {
    /// Opens the best adapter: discrete before integrated before virtual, software only where accepted.
    pub fn open(options: &Options) -> Result<Gpu, GpuError> {
        let found = found();
        let adapter = found.iter().find(|a| options.accept_software || describe(a).kind != AdapterKind::Software);
        let Some(adapter) = adapter else {
            let names: Vec<_> = found.iter().map(describe).map(|a| format!("{} ({:?})", a.name, a.kind)).collect();
            return Err(GpuError::NoAdapter { found: if names.is_empty() { "none".into() } else { names.join(", ") } });
        };
        let descriptor = wgpu::DeviceDescriptor {
            label: None,
            required_features: wgpu::Features::empty(),
            required_limits: adapter.limits(),
            experimental_features: wgpu::ExperimentalFeatures::disabled(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            trace: wgpu::Trace::Off,
        };
        let (device, queue) =
            pollster::block_on(adapter.request_device(&descriptor)).map_err(|e| GpuError::Refused { why: e.to_string() })?;
        let info = describe(adapter);
        let largest = LARGEST_SLAB.min(info.largest_binding_bytes).min(info.largest_buffer_bytes);
        let slab_bytes = options.slab_bytes.map_or(largest, |asked| asked.clamp(SMALLEST_SLAB, largest)) & !3;
        Ok(Gpu(Arc::new(Opened {
            fault: watch(&device),
            info,
            options: *options,
            slab_bytes,
            items_per_submission: options.items_per_submission.unwrap_or(ITEMS_PER_SUBMISSION).max(1),
            device,
            queue,
            programs: Mutex::default(),
        })))
    }

    /// The adapter's name.
    pub fn name(&self) -> &str {
        &self.0.info.name
    }

    /// Name, kind, driver and limits of the adapter.
    pub fn info(&self) -> &AdapterInfo {
        &self.0.info
    }

    /// Largest buffer a kernel may make.
    pub fn slab_bytes(&self) -> usize {
        self.0.slab_bytes as usize // at most LARGEST_SLAB
    }

    /// The entry point `entry` of the shader `text`, compiled once. `name` tells programs apart.
    pub fn program(&self, name: &str, text: &str, entry: &str) -> Result<Program, GpuError> {
        let key = format!("{name}/{entry}");
        let mut programs = lock(&self.0.programs);
        if let Some(pipeline) = programs.get(&key) {
            return Ok(Program(pipeline.clone()));
        }
        let mut text = [include_str!("../../shaders/item.wgsl"), text].concat();
        if let Some(edit) = self.0.options.edit_program {
            text = edit(name, text);
        }
        let module = self
            .0
            .device
            .create_shader_module(wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(text.into()) });
        let pipeline = self.0.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: None,
            module: &module,
            entry_point: Some(entry),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        self.fault()?;
        programs.insert(key, pipeline.clone());
        Ok(Program(pipeline))
    }

    /// Memory of so many bytes, all zero.
    pub fn zeroed(&self, what: &'static str, bytes: usize) -> Result<Buffer, GpuError> {
        let bytes = (bytes as u64).max(1).next_multiple_of(4);
        if bytes > self.0.slab_bytes {
            return Err(GpuError::Limits { what, needed: bytes, allowed: self.0.slab_bytes });
        }
        use wgpu::BufferUsages as U;
        let memory = self.allocate(bytes, U::STORAGE | U::COPY_DST | U::COPY_SRC);
        self.fault()?;
        Ok(Buffer { memory, bytes })
    }

    /// Memory that holds these values, padded with zeros to a whole word.
    pub fn upload<T: Pod>(&self, what: &'static str, values: &[T]) -> Result<Buffer, GpuError> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let buffer = self.zeroed(what, bytes.len())?;
        let whole = bytes.len() & !3;
        if whole > 0 {
            self.0.queue.write_buffer(&buffer.memory, 0, &bytes[..whole]);
        }
        if whole < bytes.len() {
            let mut last = [0; 4];
            last[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
            self.0.queue.write_buffer(&buffer.memory, whole as u64, &last);
        }
        self.fault()?;
        Ok(buffer)
    }

    /// Runs a program once for each of `items`, with the kernel's parameters behind the range of items in binding 0.
    pub fn run(&self, program: &Program, parameters: &[u32], buffers: &[&Buffer], items: usize) -> Result<(), GpuError> {
        let items = items as u64;
        if items >= u64::from(u32::MAX) - WORKGROUP {
            return Err(GpuError::Limits { what: "a dispatch", needed: items, allowed: u64::from(u32::MAX) - WORKGROUP });
        }
        let mut first = 0;
        while first < items {
            let end = (first + self.0.items_per_submission).min(items);
            let mut words = vec![first as u32, end as u32]; // below 2^32: checked above
            words.extend_from_slice(parameters);
            let words = self.upload("the parameters of a kernel", &words)?;
            let bound: Vec<&Buffer> = std::iter::once(&words).chain(buffers.iter().copied()).collect();
            self.submit(program, &bound, (end - first).div_ceil(WORKGROUP));
            self.fault()?;
            first = end;
        }
        Ok(())
    }

    fn submit(&self, program: &Program, buffers: &[&Buffer], groups: u64) {
        let entries: Vec<_> =
            (0u32..).zip(buffers).map(|(binding, b)| wgpu::BindGroupEntry { binding, resource: b.memory.as_entire_binding() }).collect();
        let bind_group = self.0.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &program.0.get_bind_group_layout(0),
            entries: &entries,
        });
        let across = groups.min(u64::from(self.0.info.groups_per_dimension));
        let mut encoder = self.0.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&program.0);
            pass.set_bind_group(0, &bind_group, &[]);
            pass.dispatch_workgroups(across as u32, groups.div_ceil(across) as u32, 1);
        }
        self.0.queue.submit([encoder.finish()]);
    }

    /// Copies runs of words between buffers on the device: `(from, to, words)` each, offsets in words.
    pub fn copy(&self, from: &Buffer, to: &Buffer, runs: &[(usize, usize, usize)]) -> Result<(), GpuError> {
        let mut encoder = self.0.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for &(source, target, words) in runs {
            let [source, target, words] = [source, target, words].map(|w| w as u64 * 4);
            encoder.copy_buffer_to_buffer(&from.memory, source, &to.memory, target, Some(words));
        }
        self.0.queue.submit([encoder.finish()]);
        self.fault()
    }

    /// Waits for the device and reads the start of a buffer.
    pub fn read<T: Pod>(&self, buffer: &Buffer, out: &mut [T]) -> Result<(), GpuError> {
        let out: &mut [u8] = bytemuck::cast_slice_mut(out);
        if out.is_empty() {
            return Ok(());
        }
        let bytes = (out.len() as u64).next_multiple_of(4);
        if bytes > buffer.bytes {
            return Err(GpuError::Limits { what: "a readback", needed: bytes, allowed: buffer.bytes });
        }
        use wgpu::BufferUsages as U;
        let landing = self.allocate(bytes, U::MAP_READ | U::COPY_DST);
        let mut encoder = self.0.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&buffer.memory, 0, &landing, 0, Some(bytes));
        self.0.queue.submit([encoder.finish()]);
        self.fault()?;
        let (send, receive) = std::sync::mpsc::channel();
        landing.map_async(wgpu::MapMode::Read, .., move |outcome| {
            let _ = send.send(outcome); // nobody waits for it any more after a timeout
        });
        let wait = wgpu::PollType::Wait { submission_index: None, timeout: Some(PATIENCE) };
        self.0.device.poll(wait).map_err(|e| GpuError::Lost { why: e.to_string() })?;
        self.fault()?;
        let lost = |why: String| GpuError::Lost { why };
        // Where threads share a device, another one's poll may be the one that is about to run our callback.
        receive.recv_timeout(PATIENCE).map_err(|e| lost(e.to_string()))?.map_err(|e| lost(e.to_string()))?;
        let view = landing.get_mapped_range(..).map_err(|e| lost(e.to_string()))?;
        out.copy_from_slice(&view[..out.len()]);
        Ok(())
    }

    fn allocate(&self, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        self.0.device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    }

    /// The first fault since the last call; a lost device stays lost.
    fn fault(&self) -> Result<(), GpuError> {
        let mut fault = lock(&self.0.fault);
        match fault.take() {
            None => Ok(()),
            Some(error) => {
                if matches!(error, GpuError::Lost { .. }) {
                    *fault = Some(error.clone());
                }
                Err(error)
            }
        }
    }
}

fn found() -> Vec<wgpu::Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let mut adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    adapters.sort_by_key(|a| describe(a).kind);
    adapters
}

fn describe(adapter: &wgpu::Adapter) -> AdapterInfo {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    AdapterInfo {
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
            wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
            wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
            wgpu::DeviceType::Cpu => AdapterKind::Software,
            wgpu::DeviceType::Other => AdapterKind::Other,
        },
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
        name: info.name,
        backend: info.backend.to_string(),
        largest_binding_bytes: limits.max_storage_buffer_binding_size,
        largest_buffer_bytes: limits.max_buffer_size,
        groups_per_dimension: limits.max_compute_workgroups_per_dimension,
    }
}

/// Keeps the first fault that the device reports; a loss replaces any other.
fn watch(device: &wgpu::Device) -> Arc<Mutex<Option<GpuError>>> {
    let fault: Arc<Mutex<Option<GpuError>>> = Arc::default();
    let keep = fault.clone();
    device.on_uncaptured_error(Arc::new(move |error| {
        let one_line = |text: String| text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        let error = match error {
            wgpu::Error::OutOfMemory { source } => GpuError::OutOfMemory { why: one_line(source.to_string()) },
            wgpu::Error::Validation { description, .. } => GpuError::Refused { why: one_line(description) },
            wgpu::Error::Internal { description, .. } => GpuError::Lost { why: one_line(description) },
        };
        lock(&keep).get_or_insert(error);
    }));
    let keep = fault.clone();
    device.set_device_lost_callback(move |reason, why| {
        if !matches!(reason, wgpu::DeviceLostReason::Destroyed) {
            *lock(&keep) = Some(GpuError::Lost { why });
        }
    });
    fault
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}
