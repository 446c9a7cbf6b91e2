// What a client may ask for in a container: the create body of the Engine API with every field optional, because older
// clients and hand-written requests leave most of them out. Kept in the record as it was normalised.

import type {
  EndpointSettings,
  ContainerConfig as FullConfig,
  HostConfig as FullHostConfig,
} from "../../../api/engine/container.ts";

export type { HealthConfig, Mount as MountRequest, PortBinding, Ulimit } from "../../../api/engine/container.ts";

export type Dictionary = Record<string, string>;
export type ContainerConfig = Partial<FullConfig>;
export type HostConfig = Partial<FullHostConfig>;
export type EndpointConfig = Partial<EndpointSettings>;

export interface CreateBody extends ContainerConfig {
  HostConfig?: HostConfig | null;
  NetworkingConfig?: { EndpointsConfig?: Record<string, EndpointConfig | null> | null } | null;
}
