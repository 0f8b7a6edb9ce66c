/** Where servers stand: cities of every continent, degrees, with their country and continent. For tests and benches. */
export interface City {
  readonly name: string
  readonly continent: string
  readonly country: string
  readonly latitude: number
  readonly longitude: number
}

const table = `
EU DE Frankfurt 50.11 8.68
EU DE Berlin 52.52 13.40
EU FR Paris 48.86 2.35
EU FR Marseille 43.30 5.37
EU GB London 51.51 -0.13
EU GB Manchester 53.48 -2.24
EU IE Dublin 53.35 -6.26
EU NL Amsterdam 52.37 4.90
EU ES Madrid 40.42 -3.70
EU PT Lisbon 38.72 -9.14
EU IT Milan 45.46 9.19
EU IT Rome 41.90 12.50
EU CH Zurich 47.38 8.54
EU AT Vienna 48.21 16.37
EU CZ Prague 50.08 14.44
EU PL Warsaw 52.23 21.01
EU SE Stockholm 59.33 18.07
EU NO Oslo 59.91 10.75
EU FI Helsinki 60.17 24.94
EU DK Copenhagen 55.68 12.57
EU RO Bucharest 44.43 26.10
EU GR Athens 37.98 23.73
EU RU Moscow 55.76 37.62
EU RU Vladivostok 43.12 131.89
EU IS Reykjavik 64.15 -21.94
NA US Ashburn 39.04 -77.49
NA US Chicago 41.88 -87.63
NA US Dallas 32.78 -96.80
NA US Denver 39.74 -104.99
NA US Seattle 47.61 -122.33
NA US Miami 25.76 -80.19
NA US Honolulu 21.31 -157.86
NA CA Toronto 43.65 -79.38
NA CA Vancouver 49.28 -123.12
NA CA Montreal 45.50 -73.57
NA MX Queretaro 20.59 -100.39
NA PR SanJuan 18.47 -66.11
NA GT Guatemala 14.63 -90.51
SA BR SaoPaulo -23.55 -46.63
SA BR Fortaleza -3.73 -38.53
SA AR BuenosAires -34.60 -58.38
SA CL Santiago -33.45 -70.67
SA CO Bogota 4.71 -74.07
SA PE Lima -12.05 -77.04
AS SG Singapore 1.35 103.82
AS MY KualaLumpur 3.14 101.69
AS ID Jakarta -6.21 106.85
AS JP Tokyo 35.68 139.69
AS JP Osaka 34.69 135.50
AS KR Seoul 37.57 126.98
AS TW Taipei 25.03 121.57
AS HK HongKong 22.32 114.17
AS CN Beijing 39.90 116.41
AS CN Chengdu 30.57 104.07
AS IN Mumbai 19.08 72.88
AS IN Chennai 13.08 80.27
AS IN Delhi 28.61 77.21
AS TH Bangkok 13.76 100.50
AS VN Hanoi 21.03 105.85
AS PH Manila 14.60 120.98
AS AE Dubai 25.20 55.27
AS IL TelAviv 32.08 34.78
AS TR Istanbul 41.01 28.98
AS KZ Almaty 43.24 76.89
AF ZA Johannesburg -26.20 28.05
AF ZA CapeTown -33.92 18.42
AF KE Nairobi -1.29 36.82
AF NG Lagos 6.52 3.38
AF EG Cairo 30.04 31.24
AF MA Casablanca 33.57 -7.59
AF SN Dakar 14.72 -17.47
OC AU Sydney -33.87 151.21
OC AU Perth -31.95 115.86
OC NZ Auckland -36.85 174.76
OC FJ Suva -18.14 178.44
`

export const cities: readonly City[] = table
  .trim()
  .split('\n')
  .map((line) => {
    const [continent, country, name, latitude, longitude] = line.split(' ')
    return {
      name: name!,
      continent: continent!,
      country: country!,
      latitude: Number(latitude),
      longitude: Number(longitude),
    }
  })
