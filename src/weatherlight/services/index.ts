export { CatalogService, type CatalogServiceOptions } from "./catalog-service.js";
export { closeInTime, type Service, serveHealth } from "./service.js";
export {
  type RunningService,
  SERVICE_NAMES,
  type ServiceName,
  type StartOptions,
  startService,
} from "./start.js";
export { TamiyoService, type TamiyoServiceOptions } from "./tamiyo-service.js";
export {
  type Alert,
  WEATHERLIGHT_RULES,
  type WeatherlightOptions,
  type WeatherlightRules,
  WeatherlightService,
} from "./weatherlight-service.js";
