use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

use super::{Error, Options};
use crate::limits;

/// One engine for the whole server (core dumps are not even compiled in), with a pool from which every call takes a fresh instance.
pub(super) fn start(options: &Options) -> Result<Engine, Error> {
    // Not every kernel can tell which pages a guest has touched (Linux 6.7 and later).
    let scanning = Engine::new(&config(options, Enabled::Yes, 2 << 20));
    let engine = scanning.or_else(|_| Engine::new(&config(options, Enabled::No, 64 << 10)));
    engine.map_err(|cause| Error::Engine(format!("{cause:#}")))
}

fn config(options: &Options, pagemap: Enabled, kept: usize) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .concurrency_support(false)
        .max_wasm_stack(limits::PLUGIN_STACK)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_shared_everything_threads(false)
        .wasm_memory64(false)
        .wasm_multi_memory(true)
        .wasm_relaxed_simd(false)
        .wasm_gc(false)
        .wasm_stack_switching(false)
        .wasm_custom_page_sizes(false)
        .gc_support(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(options, pagemap, kept)));
    config
}

fn pool(options: &Options, pagemap: Enabled, kept: usize) -> PoolingAllocationConfig {
    let calls = u32::try_from(options.calls).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.pagemap_scan(pagemap)
        .linear_memory_keep_resident(kept)
        .table_keep_resident(64 << 10)
        .decommit_batch_size(64)
        .total_stacks(calls)
        .total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(limits::PLUGIN_CORE_INSTANCES))
        .total_memories(calls.saturating_mul(limits::PLUGIN_MEMORIES))
        .total_tables(calls.saturating_mul(limits::PLUGIN_TABLES))
        .max_core_instances_per_component(limits::PLUGIN_CORE_INSTANCES)
        .max_memories_per_component(limits::PLUGIN_MEMORIES)
        .max_tables_per_component(limits::PLUGIN_TABLES)
        .max_tables_per_module(limits::PLUGIN_TABLES)
        .max_memories_per_module(1)
        .table_elements(limits::PLUGIN_TABLE_ELEMENTS)
        .max_memory_size(limits::PLUGIN_MEMORY);
    pool
}
