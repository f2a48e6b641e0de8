/** The services that the client calls, from the proto files that the build put beside this one. */

import { fileURLToPath } from "node:url";

import { loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

import type { ProtoGrpcType as HealthPackage } from "./generated/health.js";
import type { ProtoGrpcType as TranslationPackage } from "./generated/translation.js";

// As the types were generated: see the script "types" in package.json.
const definition = loadSync(["attendant/v1/translation.proto", "grpc/health/v1/health.proto"], {
  includeDirs: [fileURLToPath(new URL("protos", import.meta.url))],
  longs: String,
  enums: String,
  defaults: true,
});

const packages = loadPackageDefinition(definition) as unknown as TranslationPackage & HealthPackage;

/** `attendant.v1.TranslationService`, the public API. */
export const TranslationService = packages.attendant.v1.TranslationService;

/** `grpc.health.v1.Health`, the standard health service. */
export const Health = packages.grpc.health.v1.Health;
