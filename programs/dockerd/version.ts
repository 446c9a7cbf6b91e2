// The names this daemon goes by. The API range is what the routes of serve/engine really answer.

import { API_OLDEST } from "../../api/engine/version.ts";

export const API_MAX = "1.51";
export const API_MIN = API_OLDEST;
/** The behaviour followed is Docker 28.5's; the part behind the plus is ours. */
export const ENGINE_VERSION = "28.5.0+gantry.0.1.0";
export const PLATFORM_NAME = "Gantry Engine";
